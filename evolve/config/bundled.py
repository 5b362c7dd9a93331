"""Where the problems, evaluators and configurations that come with `evolve` lie."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["problems", "evaluators", "configs"]

_PACKAGE = Path(__file__).resolve().parents[1]


def bundled(kind: Kind, *, package: Path = _PACKAGE) -> Path:
    """Return the folder of bundled content of one kind.

    In a checkout, an unpacked source distribution or an editable install that is the repository's
    own folder, so that edits count at once; a copy that a build left in the package never shadows
    it. In an installed wheel it is ``_bundled`` inside the package.

    Args:
        kind: What to look for.
        package: The package's folder.
    """
    root = package.parent
    project = root / "pyproject.toml"
    if project.is_file() and 'name = "evolve-engine"' in project.read_text(encoding="utf-8"):
        return root / kind
    return package / "_bundled" / kind
