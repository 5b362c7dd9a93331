"""Programs: immutable sources with marked regions, identified by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from types import MappingProxyType

START = "EVOLVE-BLOCK-START"
END = "EVOLVE-BLOCK-END"


@dataclass(frozen=True, slots=True)
class Region:
    """The lines between one pair of markers, or a whole file that has none.

    Attributes:
        path: The file.
        first: 0-based index of the first line inside.
        last: 0-based index one past the last line inside; ``first == last`` is an empty region.
    """

    path: str
    first: int
    last: int


@dataclass(frozen=True)
class Program:
    """Immutable sources; equal contents are the same program.

    Args:
        files: Relative POSIX path to text. Paths stay inside the program's folder.

    Raises:
        ValueError: no file, a path that is absolute or climbs out, or unbalanced markers.
    """

    files: Mapping[str, str] = field(hash=False)

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("a program needs at least one file")
        for path in self.files:
            parts = PurePosixPath(path).parts
            if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path:
                raise ValueError(f"{path!r} is not a relative path inside the program")
        object.__setattr__(self, "files", MappingProxyType(dict(sorted(self.files.items()))))
        _ = self.regions

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[type[Program], tuple[dict[str, str]]]:
        return Program, (dict(self.files),)

    @cached_property
    def id(self) -> str:
        """SHA-256 of paths and contents, in hexadecimal."""
        digest = hashlib.sha256()
        for path, text in self.files.items():
            for part in (path.encode(), text.encode("utf-8", "surrogatepass")):
                digest.update(len(part).to_bytes(8, "big"))
                digest.update(part)
        return digest.hexdigest()

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The evolve blocks in order; every file whole when no file has a marker."""
        marked = [region for path, text in self.files.items() for region in _marked(path, text)]
        if marked:
            return tuple(marked)
        return tuple(
            Region(path, 0, len(text.splitlines(keepends=True)))
            for path, text in self.files.items()
        )

    def text(self, region: Region) -> str:
        """Return the source inside ``region``."""
        lines = self.files[region.path].splitlines(keepends=True)
        return "".join(lines[region.first : region.last])

    def replace(self, replacements: Mapping[Region, str]) -> Program:
        """Return a program in which each given region holds the given text instead."""
        files = dict(self.files)
        for region in sorted(replacements, key=lambda r: (r.path, r.first), reverse=True):
            lines = files[region.path].splitlines(keepends=True)
            text = replacements[region]
            if text and not text.endswith("\n") and region.last < len(lines):
                text += "\n"
            lines[region.first : region.last] = [text]
            files[region.path] = "".join(lines)
        return Program(files)


def _marked(path: str, text: str) -> list[Region]:
    """Find the marker pairs of one file; a marker counts in any comment syntax."""
    regions: list[Region] = []
    opened: int | None = None
    for number, line in enumerate(text.splitlines(keepends=True)):
        if START in line:
            if opened is not None:
                raise ValueError(f"{path}:{number + 1}: {START} inside another evolve block")
            opened = number + 1
        elif END in line:
            if opened is None:
                raise ValueError(f"{path}:{number + 1}: {END} without {START}")
            regions.append(Region(path, opened, number))
            opened = None
    if opened is not None:
        raise ValueError(f"{path}:{opened}: {START} is never closed by {END}")
    return regions
