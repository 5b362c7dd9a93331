"""SEARCH/REPLACE edits, applied.

A hunk's lines are looked for as they are; where they do not occur so, without regard to white
space at the ends of lines; and then with all of them shifted by the same indentation. Each time
they must occur once only. What stands outside of the evolve blocks cannot be changed, yet may be
quoted around a change. In doubt a hunk is refused, with a message fit for the model that wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence

from evolve.core.diff import diff, unified_diff
from evolve.core.errors import PatchError
from evolve.core.hunks import Hunk, Reason, format_patch, parse_patch
from evolve.core.matching import (
    Match,
    by_place,
    exact_matches,
    line_ending,
    loose_matches,
    shifted_matches,
)
from evolve.core.nearest_lines import nearest_lines
from evolve.core.program import END, START, Program, split_lines
from evolve.core.rewrite import extract_rewrite

__all__ = [
    "Hunk",
    "Reason",
    "apply_patch",
    "diff",
    "extract_rewrite",
    "format_patch",
    "parse_patch",
    "unified_diff",
]


def apply_patch(program: Program, hunks: Sequence[Hunk]) -> Program:
    """Apply ``hunks`` in order, each to the result of the one before.

    Raises:
        PatchError: no hunk, one that does not apply, or all together change nothing.
    """
    if not hunks:
        raise PatchError(Reason.NO_EDIT, "the edit holds no hunk")
    patched = program
    for number, hunk in enumerate(hunks, start=1):
        patched = _apply(patched, hunk, number)
    if patched == program:
        raise PatchError(Reason.NO_OP, "the edit leaves the program as it was", hunk=len(hunks))
    return patched


def _apply(program: Program, hunk: Hunk, number: int) -> Program:
    paths = _paths(program, hunk, number)
    try:
        if not hunk.search.strip():
            return _fill(program, paths, hunk, number)
        match = _find(program, paths, hunk, number)
        lines = split_lines(program.files[match.path])
        lines[match.first : match.last] = match.lines
        patched = Program({**program.files, match.path: "".join(lines)})
    except ValueError as error:  # markers no longer in pairs
        raise _outside(number) from error
    if patched.outside != program.outside:
        raise _outside(number)
    return patched


def _outside(number: int) -> PatchError:
    return PatchError(
        Reason.OUTSIDE_BLOCKS,
        f"hunk {number} changes lines outside of the evolve blocks; change only lines between "
        f"{START} and {END}, and neither add nor remove such a line",
        hunk=number,
    )


def _paths(program: Program, hunk: Hunk, number: int) -> list[str]:
    """Return the files in which to look: the one that the hunk's path means, or all."""
    if hunk.path is None:
        return list(program.files)
    path = program.resolve(hunk.path)
    if path is not None:
        return [path]
    if len(program.files) == 1:  # whatever the model calls it
        return list(program.files)
    raise PatchError(
        Reason.UNKNOWN_FILE,
        f"hunk {number} names the file {hunk.path!r}; the program has {', '.join(program.files)}",
        hunk=number,
    )


def _fill(program: Program, paths: list[str], hunk: Hunk, number: int) -> Program:
    """Put a hunk without SEARCH lines into the one block that is empty."""
    blank = [
        region
        for region in program.regions
        if region.path in paths and not program.text(region).strip()
    ]
    if len(blank) != 1:
        raise PatchError(
            Reason.AMBIGUOUS if blank else Reason.EMPTY_SEARCH,
            f"hunk {number} has an empty SEARCH, which fills an empty evolve block, but "
            f"{len(blank) or 'no'} blocks are empty; copy lines of the program into SEARCH",
            hunk=number,
        )
    text = hunk.replace
    around = "".join(program.outside[blank[0].path])
    if around:
        ending = line_ending(split_lines(around))
        text = "".join(line.rstrip("\r\n") + ending for line in split_lines(text))
    return program.replace({blank[0]: text})


def _find(program: Program, paths: list[str], hunk: Hunk, number: int) -> Match:
    """Return the one place in the evolve blocks where the hunk belongs."""
    files = {path: split_lines(program.files[path]) for path in paths}
    search, replace = split_lines(hunk.search), split_lines(hunk.replace)
    for matches in (
        exact_matches(files, search, replace),
        loose_matches(files, search, replace),
        shifted_matches(files, search, replace),
    ):
        inside, outside = by_place(program, matches)
        if len(inside) > 1:
            places = " and ".join(f"{match.path}:{match.first + 1}" for match in inside)
            raise PatchError(
                Reason.AMBIGUOUS,
                f"hunk {number}: the SEARCH lines occur more than once, at {places}; add lines "
                "above or below so that they occur once",
                hunk=number,
            )
        if inside:
            return inside[0]
        if outside:
            raise _outside(number)
    raise PatchError(
        Reason.NOT_FOUND,
        f"hunk {number}: the SEARCH lines do not occur in {' or '.join(paths)}.\n"
        f"{nearest_lines(files, search)}"
        "Copy the lines to be replaced exactly from the program, as left by the hunks before.",
        hunk=number,
    )
