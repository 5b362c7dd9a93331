"""Which `evolve` this is, to the byte: what crosses between machines must mean the same on both."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

_PACKAGE = Path(__file__).parents[2]


@cache
def this_version() -> str:
    """Return the version of the package, of its sources, and of Python."""
    root, digest = _PACKAGE, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        if "_bundled" not in path.parts:
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return f"{metadata.version('evolve-engine')} ({digest.hexdigest()[:8]}), Python {python}"
