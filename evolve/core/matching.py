"""Where the lines of a hunk occur in a program, and what to put there.

There are three ways to look: as the lines are, without regard to white space at their ends, and
with all of them shifted by the same indentation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass

from evolve.core.program import Program

#: Different indentations that a hunk is tried with; with more it counts as not found.
_MAX_SHIFTS = 32


@dataclass(frozen=True, slots=True)
class Match:
    """A place where a hunk's lines occur, and the lines to stand there instead."""

    path: str
    first: int
    last: int
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Shift:
    """An indentation that all lines of a hunk lack, or have too much of."""

    add: str
    remove: str

    @classmethod
    def between(cls, line: str, wanted: str) -> Shift | None:
        """Return what gives ``line`` the indentation of ``wanted``; None when nothing is needed.

        Also None when neither indentation ends with the other, as with tabs against spaces.
        """
        old, new = indent_of(line), indent_of(wanted)
        if old == new or not (new.endswith(old) or old.endswith(new)):
            return None
        return cls(
            add=new[: max(len(new) - len(old), 0)], remove=old[: max(len(old) - len(new), 0)]
        )

    def apply(self, lines: list[str]) -> list[str] | None:
        """Return ``lines`` shifted, or None when one has too little to remove."""
        if any(line.strip() and not line.startswith(self.remove) for line in lines):
            return None
        return [self.add + line[len(self.remove) :] if line.strip() else line for line in lines]


def by_place(program: Program, matches: Iterable[Match]) -> tuple[list[Match], list[Match]]:
    """Part ``matches`` by whether they touch an evolve block; stop at the second that does."""
    inside: list[Match] = []
    outside: list[Match] = []
    for match in matches:
        touches = any(
            region.path == match.path
            and match.first <= region.last  # the lines next to a block count: an empty block has
            and match.last >= region.first  # no others, and a marker may be quoted alone
            for region in program.regions
        )
        (inside if touches else outside).append(match)
        if len(inside) == 2:
            break
    return inside, outside


def exact_matches(
    files: Mapping[str, list[str]], search: list[str], replace: list[str]
) -> Iterator[Match]:
    """Find the lines as they are; the new ones are taken as they are."""
    wanted = [line.removesuffix("\n") for line in search]
    for path, lines in files.items():
        for first in _occurrences([line.removesuffix("\n") for line in lines], wanted):
            last = first + len(search)
            if lines[last - 1] == search[-1]:
                unfinished = last < len(lines) and replace and not replace[-1].endswith("\n")
                yield Match(path, first, last, [*replace, "\n"] if unfinished else replace)


def loose_matches(
    files: Mapping[str, list[str]], search: list[str], replace: list[str]
) -> Iterator[Match]:
    """Find the lines whatever white space ends them; the new ones end like those around."""
    wanted = [line.rstrip() for line in search]
    for path, lines in files.items():
        for first in _occurrences([line.rstrip() for line in lines], wanted):
            last = first + len(search)
            yield Match(path, first, last, _like(lines[first:last], replace))


def shifted_matches(
    files: Mapping[str, list[str]], search: list[str], replace: list[str]
) -> Iterator[Match]:
    """Find the lines with one indentation added to, or removed from, all of them."""
    line = next(line for line in search if line.strip())
    shifts = {
        shift
        for lines in files.values()
        for other in lines
        if other.strip() == line.strip() and (shift := Shift.between(line, other))
    }
    if len(shifts) > _MAX_SHIFTS:
        return
    for shift in sorted(shifts, key=astuple):
        moved, new = shift.apply(search), shift.apply(replace)
        if moved is not None and new is not None:
            yield from loose_matches(files, moved, new)


def _occurrences(lines: list[str], wanted: list[str]) -> Iterator[int]:
    """Yield each index at which the list ``wanted`` occurs in ``lines``, in linear time."""
    if not lines:
        return
    hay, needle = "\n".join(["", *lines, ""]), "\n".join(["", *wanted, ""])
    number = before = 0
    position = hay.find(needle)
    while position >= 0:
        number += hay.count("\n", before, position)
        yield number
        before, position = position, hay.find(needle, position + 1)


def _like(old: list[str], new: list[str]) -> list[str]:
    """Return ``new`` with line endings like ``old``; lines that it keeps stay as they are."""
    kept = {line.rstrip(): line for line in old if line.strip() and line.endswith("\n")}
    lines = [kept.get(line.rstrip(), line.rstrip() + line_ending(old)) for line in new]
    if lines and not old[-1].endswith("\n"):
        lines[-1] = lines[-1].rstrip("\r\n")
    return lines


def line_ending(lines: list[str]) -> str:
    """Return what ends the first of ``lines``: CR LF, or LF also where there is none."""
    return "\r\n" if lines and lines[0].endswith("\r\n") else "\n"


def indent_of(line: str) -> str:
    """Return the white space that ``line`` begins with."""
    return line[: len(line) - len(line.lstrip())]
