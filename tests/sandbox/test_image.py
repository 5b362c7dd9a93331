"""The archive the sandbox image is made from."""

from __future__ import annotations

import hashlib
import sys
import tarfile
from importlib import metadata
from pathlib import Path

import pytest

from evolve.sandbox.distributions import default_requirements
from evolve.sandbox.rootfs import write_archive

pytestmark = pytest.mark.slow


def test_the_archive_is_the_same_every_time_and_holds_no_tools(tmp_path: Path) -> None:
    numpy = [metadata.distribution("numpy")]
    digests = []
    for name in ("first.tar", "second.tar"):
        write_archive(tmp_path / name, numpy)
        digests.append(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    with tarfile.open(tmp_path / "first.tar") as archive:
        items = {item.name: item for item in archive}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    assert f"opt/python/bin/{version}" in items
    assert "opt/python/packages/numpy/__init__.py" in items
    assert any(name.startswith("opt/python/packages/numpy/__pycache__/") for name in items)
    assert not any(Path(name).name in ("sh", "bash", "su", "pip") for name in items)
    assert {(item.uid, item.gid, item.mtime) for item in items.values()} == {(0, 0, 0)}
    assert not any(item.mode & 0o7022 for item in items.values() if not item.issym())


def test_what_programs_may_import_is_what_is_installed() -> None:
    assert "numpy" in default_requirements()
