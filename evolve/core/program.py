"""Programs: immutable sources with marked regions, identified by their content."""

from __future__ import annotations

import ast
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from types import MappingProxyType

from evolve.core import html
from evolve.core.syntax import syntax_of

START = "EVOLVE-BLOCK-START"
END = "EVOLVE-BLOCK-END"


def split_lines(text: str) -> list[str]:
    r"""Split ``text`` after each ``\n``, which stays on its line.

    Nothing else ends a line: `str.splitlines` would also split at form feeds and at Unicode
    separators, which stand inside string literals.
    """
    return io.StringIO(text).readlines()


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
        files: Relative POSIX path to text. Paths are normal (no ``.`` or ``..``), printable, and
            stay inside the program's folder.

    Raises:
        ValueError: no file, a path of another form, or unbalanced markers.
    """

    files: Mapping[str, str] = field(hash=False)

    def __post_init__(self) -> None:
        if not self.files:
            raise ValueError("a program needs at least one file")
        for path in self.files:
            if not _is_inside(path):
                raise ValueError(f"{path!r} is not a normal relative path inside the program")
        object.__setattr__(self, "files", MappingProxyType(dict(sorted(self.files.items()))))
        _ = self.regions

    def __hash__(self) -> int:
        return hash(self.id)

    def _repr_html_(self) -> str:
        return html.block(*(html.source(path, text) for path, text in self.files.items()))

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
    def syntax_id(self) -> str:
        """SHA-256 of paths and syntax: equal for programs that differ in comments and layout only.

        Files that are not Python, do not parse, or are nested too deeply count with their text.
        """
        digest = hashlib.sha256()
        for path, text in self.files.items():
            body = _syntax(text) if path.endswith(".py") else text
            for part in (path, body):
                digest.update(hashlib.sha256(part.encode("utf-8", "surrogatepass")).digest())
        return digest.hexdigest()

    @property
    def main(self) -> str:
        """The path of the first ``.py`` file, or of the first file when there is none."""
        return next((path for path in self.files if path.endswith(".py")), next(iter(self.files)))

    def resolve(self, path: str) -> str | None:
        """Return the file that ``path`` means: that one, or the only one of the same name."""
        if path in self.files:
            return path
        name = PurePosixPath(path).name
        named = [known for known in self.files if PurePosixPath(known).name == name]
        return named[0] if len(named) == 1 else None

    @cached_property
    def regions(self) -> tuple[Region, ...]:
        """The evolve blocks in order; every file whole when no file has a marker."""
        marked = [region for path, text in self.files.items() for region in _marked(path, text)]
        if marked:
            return tuple(marked)
        return tuple(Region(path, 0, len(split_lines(text))) for path, text in self.files.items())

    @cached_property
    def outside(self) -> Mapping[str, tuple[str, ...]]:
        """For each file the text before, between and after its evolve blocks, markers included.

        Programs of equal ``outside`` differ at most inside their blocks.
        """
        return MappingProxyType({path: self._around(path) for path in self.files})

    def _around(self, path: str) -> tuple[str, ...]:
        lines = split_lines(self.files[path])
        regions = [region for region in self.regions if region.path == path]
        starts = [0, *(region.last for region in regions)]
        ends = [*(region.first for region in regions), len(lines)]
        return tuple("".join(lines[i:j]) for i, j in zip(starts, ends, strict=True))

    def text(self, region: Region) -> str:
        """Return the source inside ``region``."""
        return "".join(split_lines(self.files[region.path])[region.first : region.last])

    def replace(self, replacements: Mapping[Region, str]) -> Program:
        """Return a program in which each given region holds the given text instead.

        Raises:
            ValueError: a text holds a marker line, so that the regions would not be the same.
        """
        files = dict(self.files)
        for region in sorted(replacements, key=lambda r: (r.path, r.first), reverse=True):
            lines = split_lines(files[region.path])
            text = replacements[region]
            if text and not text.endswith("\n") and region.last < len(lines):
                text += "\n"
            lines[region.first : region.last] = [text]
            files[region.path] = "".join(lines)
        replaced = Program(files)
        if replaced.outside != self.outside:
            raise ValueError(f"a line with {START} or {END} stands in the text of an evolve block")
        return replaced


def _syntax(text: str) -> str:
    """Return the syntax of a Python source as text; the source itself when that cannot be had."""
    tree = syntax_of(text)
    if isinstance(tree, Exception):
        return text
    try:
        return ast.dump(tree)
    except RecursionError:
        return text


def _is_inside(path: str) -> bool:
    """Tell whether ``path`` is relative, normal, and does not climb out."""
    parts = PurePosixPath(path)
    return (
        path == str(parts) != "."
        and not parts.is_absolute()
        and ".." not in parts.parts
        and "\\" not in path
        and path.isprintable()
    )


def _marked(path: str, text: str) -> list[Region]:
    """Find the marker pairs of one file; a marker counts in any comment syntax."""
    regions: list[Region] = []
    opened: int | None = None
    for number, line in enumerate(split_lines(text)):
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
