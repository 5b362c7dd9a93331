"""Settings of every test."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def pytest_configure() -> None:
    """Give every worker of a parallel run a folder for temporary files of its own.

    Claims on CPUs and the private folders of slots lie there: what one worker has, or leaves
    behind, is none of the others' business.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        folder = Path(tempfile.gettempdir()) / f"evolve-tests-{os.getuid()}-{worker}"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o1777)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
