"""What turns one program into another, for programs and for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from evolve.core.hunks import Hunk
from evolve.core.matching import by_place, exact_matches
from evolve.core.program import Program, split_lines


def diff(a: Program, b: Program) -> tuple[Hunk, ...]:
    """Return hunks that turn ``a`` into ``b``; none when they are equal.

    Raises:
        ValueError: the programs differ in their files or outside of their evolve blocks.
    """
    if a.outside != b.outside:
        raise ValueError("the programs differ in their files or outside of their evolve blocks")
    hunks: list[Hunk] = []
    for first, last, path, new in reversed(list(_changes(a, b))):  # keeps lines above in place
        lines = split_lines(a.files[path])
        hunks.append(_unique_hunk(a, path, lines, (first, last), new))
        lines[first:last] = new
        a = Program({**a.files, path: "".join(lines)})
    return tuple(hunks)


def unified_diff(a: Program, b: Program) -> str:
    """Return the differences of all files in the form of ``diff -u``, for people to read."""
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        for path in sorted(a.files.keys() | b.files.keys())
        for line in difflib.unified_diff(
            split_lines(a.files.get(path, "")),
            split_lines(b.files.get(path, "")),
            path if path in a.files else "/dev/null",
            path if path in b.files else "/dev/null",
        )
    )


def _changes(a: Program, b: Program) -> Iterator[tuple[int, int, str, list[str]]]:
    """Yield first line, last line, file and new lines of each change, in order."""
    for old, new in zip(a.regions, b.regions, strict=True):
        before, after = split_lines(a.text(old)), split_lines(b.text(new))
        for tag, i, j, k, m in difflib.SequenceMatcher(None, before, after).get_opcodes():
            if tag != "equal":
                yield old.first + i, old.first + j, old.path, after[k:m]


def _unique_hunk(
    program: Program, path: str, lines: list[str], span: tuple[int, int], new: list[str]
) -> Hunk:
    """Return a hunk for one change, with as many lines around it as make it unique."""
    name = path if len(program.files) > 1 else None
    around = 1
    while True:
        first, last = max(span[0] - around, 0), min(span[1] + around, len(lines))
        search = lines[first:last]
        replace = [*lines[first : span[0]], *new, *lines[span[1] : last]]
        inside, _ = (
            by_place(program, exact_matches({path: lines}, search, replace)) if search else ([], [])
        )
        is_whole = len(search) == len(lines)
        if is_whole or ("".join(search).strip() and len(inside) == 1):
            return Hunk("".join(search), "".join(replace), name)
        around *= 2
