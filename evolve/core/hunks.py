"""The text form of an edit: SEARCH/REPLACE hunks as models write them.

    path/of/the/file              (optional, where a program has several)
    <<<<<<< SEARCH
    lines of the program
    =======
    lines to stand there instead
    >>>>>>> REPLACE

All around is prose, and code fences around or inside are left out. Markers may be 5 signs or longer
and carry trailing words. Code that itself holds such lines is written with longer markers: after a
SEARCH marker of ``n`` signs only a line of ``n - 2`` to ``n + 2`` equal signs divides, and only a
marker of more than ``n / 2`` signs ends the hunk. What could be read in two ways is refused.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from evolve.core.errors import PatchError
from evolve.core.program import split_lines

#: A reply with more hunks is refused: it is no edit, and each hunk costs a pass over the program.
MAX_HUNKS = 500

_SHORTEST = 5  # signs of a marker that opens a hunk

# Possessive quantifiers keep matching linear on hostile lines.
_SEARCH = re.compile(r"\s*+(<{3,}+)\s*+SEARCH\b(.*)", re.IGNORECASE)
_REPLACE = re.compile(r"\s*+(>{3,}+)\s*+(REPLACE\b.*)?$", re.IGNORECASE)
_DIVIDER = re.compile(r"\s*+(={3,}+)\s*+$")
_FENCE = re.compile(r"\s*+(`{3,}+)([^`]*+)$")
_NO_NEWLINE = re.compile(r"(\\++) No newline at end of file\s*+$")
_THOUGHT = re.compile(r"\s*+<(think|thinking|reasoning)>.*?</\1>", re.DOTALL)
_NAMED_PATH = re.compile(r"[\s#*>/-]*(?:file|filename|path)\W*?[:=]\s*(.*\S)", re.IGNORECASE)
_BARE_PATH = re.compile(r"(?:[\w@+.-]+/)*[\w@+.-]*\.[A-Za-z]\w*|(?:[\w@+.-]+/)+[\w@+-]+")
_RUNS = {"<<<", "===", ">>>", "```"}
_COMMENT_SIGNS = frozenset("#/-%;<")
_LONGEST_PATH_LINE = 300
_AROUND_PATH = " \t\r\n*`'\":#"
_ELISION = re.compile(
    r"\s*+(?:#|//|--|%|;|/\*|<!--)[\s#/*\[(-]*"
    r"(?:\.{3}|…|(?:the )?rest of (?:the |this )?(?:code|function|file|program|class|block)\b"
    r"|(?:existing|remaining|previous|other|same) code\b|unchanged\b)",
    re.IGNORECASE,
)
_LONGER = (
    "Where the code itself holds lines like the markers, write all three markers of the hunk with "
    "15 signs"
)
_NO_HUNK = (
    "the reply has no edit; write each as a line '<<<<<<< SEARCH', the lines to be replaced, a "
    "line '=======', the new lines, and a line '>>>>>>> REPLACE'"
)


class Reason(enum.StrEnum):
    """Why a model's reply is not an edit of the program."""

    NO_EDIT = "no_edit"  #: neither a hunk nor code in the reply
    MALFORMED = "malformed"  #: a marker is missing or may be read in two ways
    ELIDED = "elided"  #: code left out with an ellipsis
    TOO_MANY_HUNKS = "too_many_hunks"
    UNKNOWN_FILE = "unknown_file"
    EMPTY_SEARCH = "empty_search"  #: an empty SEARCH, and no empty evolve block to fill
    NOT_FOUND = "not_found"
    AMBIGUOUS = "ambiguous"  #: found more than once
    OUTSIDE_BLOCKS = "outside_blocks"
    NO_OP = "no_op"  #: the result is the program as it was


@dataclass(frozen=True, slots=True)
class Hunk:
    """One edit: whole lines that stand in the program, and the lines to stand there instead.

    Attributes:
        search: The lines to be replaced, as they are. Empty: fill the one empty evolve block.
        replace: The new lines; empty to delete.
        path: The file, or None to look in all.
    """

    search: str
    replace: str
    path: str | None = None


def parse_patch(text: str) -> tuple[Hunk, ...]:
    """Read all hunks of a model's reply, in order.

    Raises:
        PatchError: no hunk, or one that is not complete or may be read in two ways.
    """
    lines = split_lines(without_thoughts(text))
    hunks: list[Hunk] = []
    number = after = 0
    while number < len(lines):
        opening, closing = _marker(_SEARCH, lines[number]), _marker(_REPLACE, lines[number])
        if opening is not None and len(opening[1]) >= _SHORTEST:
            if len(hunks) == MAX_HUNKS:
                raise PatchError(Reason.TOO_MANY_HUNKS, f"the reply has over {MAX_HUNKS} hunks")
            end = _find_end(lines, number, len(opening[1]), len(hunks) + 1)
            search, replace = _halves(lines[number + 1 : end], len(opening[1]), len(hunks) + 1)
            path = _path(opening[2]) or path_above(lines[after:number])
            hunks.append(Hunk(search, replace, path))
            number, after = end, end + 1
        elif closing is not None and closing[2] and len(closing[1]) >= 4:
            raise PatchError(
                Reason.MALFORMED,
                f"after hunk {len(hunks)}: a line '>>>>>>> REPLACE' has no line '<<<<<<< SEARCH' "
                "before it",
                hunk=len(hunks) + 1,
            )
        number += 1
    if not hunks:
        raise PatchError(Reason.NO_EDIT, _NO_HUNK)
    return tuple(hunks)


def format_patch(hunks: Iterable[Hunk]) -> str:
    """Write ``hunks`` as text that `parse_patch` reads back as the same hunks."""
    return "\n".join(_format(hunk) for hunk in hunks)


def without_thoughts(text: str) -> str:
    """Drop the reasoning that some models put before their reply, drafts of edits included."""
    thought = _THOUGHT.match(text)
    return text[thought.end() :] if thought else text


def holds_hunk(text: str) -> bool:
    """Tell whether a line of ``text`` opens a hunk."""
    openings = (_marker(_SEARCH, line) for line in split_lines(text))
    return any(len(opening[1]) >= _SHORTEST for opening in openings if opening)


def elisions(text: str) -> set[str]:
    """Return the comment lines of ``text`` that stand for code left out, stripped."""
    return {
        line.strip()
        for line in split_lines(text)
        if line.lstrip()[:1] in _COMMENT_SIGNS and _ELISION.match(line)
    }


def fence_of(line: str) -> tuple[str, str] | None:
    """Return sign run and info string of a line that opens or closes fenced code, or None."""
    match = _marker(_FENCE, line)
    return (match[1], match[2].strip()) if match else None


def path_above(lines: list[str]) -> str | None:
    """Return the path that the last of ``lines`` gives to what follows, or None.

    It may stand on a line of its own, also above an opening fence, or in the fence's info string.
    """
    near = [line for line in lines[-4:] if line.strip()]
    if near and (fence := fence_of(near[-1])):
        info = re.split(r"[\s:={}'\"]+", fence[1])
        paths = [word for word in info if _BARE_PATH.fullmatch(word)]
        if paths:
            return _normal(paths[-1])
        near.pop()
    return _path(near[-1]) if near else None


def _marker(pattern: re.Pattern[str], line: str) -> re.Match[str] | None:
    """Match a line that begins with a run of signs; most lines do not, and are not matched."""
    return pattern.match(line) if line.lstrip()[:3] in _RUNS else None


def _path(line: str) -> str | None:
    """Return the path that ``line`` consists of, decorated or introduced by ``File:``, or None."""
    if len(line) > _LONGEST_PATH_LINE:
        return None
    named = _NAMED_PATH.match(line)
    word = (named[1] if named else line.lstrip("/- \t")).strip(_AROUND_PATH)
    return _normal(word) if word and (named or _BARE_PATH.fullmatch(word)) else None


def _normal(path: str) -> str:
    return str(PurePosixPath(path))


def _find_end(lines: list[str], start: int, signs: int, hunk: int) -> int:
    """Return the index of the line that ends the hunk opened on line ``start``."""
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if (marker := _marker(_REPLACE, line)) and len(marker[1]) * 2 > signs:
            return number
        if (marker := _marker(_SEARCH, line)) and len(marker[1]) * 2 > signs:
            break
    raise PatchError(
        Reason.MALFORMED,
        f"hunk {hunk}: the line '>>>>>>> REPLACE' is missing; end every hunk with it. {_LONGER}",
        hunk=hunk,
    )


def _halves(body: list[str], signs: int, hunk: int) -> tuple[str, str]:
    """Split a hunk's lines at its divider; drop a fence around each half."""
    dividers = [
        number
        for number, line in enumerate(body)
        if (match := _marker(_DIVIDER, line)) and abs(len(match[1]) - signs) <= 2
    ]
    if len(dividers) != 1:
        problem = "has no line '=======' between SEARCH and REPLACE"
        if dividers:
            problem = f"has {len(dividers)} lines that look like its divider '======='. {_LONGER}"
        raise PatchError(Reason.MALFORMED, f"hunk {hunk} {problem}", hunk=hunk)
    halves = _unfenced(body[: dividers[0]], body[dividers[0] + 1 :], hunk)
    search, replace = map(_joined, halves)
    if left_out := elisions(replace) - elisions(search):
        raise PatchError(
            Reason.ELIDED,
            f"hunk {hunk}: {min(left_out)!r} stands for code that is left out; write all lines",
            hunk=hunk,
        )
    return search, replace


def _unfenced(search: list[str], replace: list[str], hunk: int) -> tuple[list[str], list[str]]:
    """Drop a code fence around both halves; refuse fences that do not pair."""
    fenced = [half for half in (search, replace) if half and _is_fenced(half)]
    around = {(half[0].strip(), half[-1].strip()) for half in fenced}
    if len(around) == 1 and len(fenced) == bool(search) + bool(replace):
        return search[1:-1], replace[1:-1]
    fences = sum(fence_of(line) is not None for line in search + replace)
    if fenced or fences % 2:
        raise PatchError(
            Reason.MALFORMED,
            f"hunk {hunk}: the code fences of its halves do not match; leave fences out",
            hunk=hunk,
        )
    return search, replace


def _is_fenced(lines: list[str]) -> bool:
    """Tell whether the first line opens a code fence and the last one closes it."""
    first, last = fence_of(lines[0]), fence_of(lines[-1])
    if len(lines) < 2 or first is None or last is None:
        return False
    return last[0].startswith(first[0]) and not last[1]


def _joined(lines: list[str]) -> str:
    """Join ``lines``; a last line like the one of ``diff`` takes the newline off the one before."""
    note = _NO_NEWLINE.match(lines[-1]) if lines else None
    if note is None:
        return "".join(lines)
    if len(note[1]) > 1:
        return "".join([*lines[:-1], lines[-1][1:]])
    return "".join(lines[:-1]).removesuffix("\n")


def _format(hunk: Hunk) -> str:
    halves = [_terminated(hunk.search), _terminated(hunk.replace)]
    lines = [line for half in halves for line in split_lines(half)]
    words = (_marker(_SEARCH, line) or _marker(_REPLACE, line) for line in lines)
    marks = (_marker(_DIVIDER, line) for line in lines)
    needed = [2 * len(match[1]) + 1 for match in words if match]
    needed += [len(match[1]) + 3 for match in marks if match]
    signs = max(7, *needed, 0)
    if fences := [fence[0] for line in lines if (fence := fence_of(line))]:
        around = max(fences, key=len) + "`"
        halves = [f"{around}\n{half}{around}\n" if half else "" for half in halves]
    path = f"File: {hunk.path}\n" if hunk.path is not None else ""
    opening, divider, closing = (sign * signs for sign in "<=>")
    return f"{path}{opening} SEARCH\n{halves[0]}{divider}\n{halves[1]}{closing} REPLACE\n"


def _terminated(text: str) -> str:
    r"""Make ``text`` end in a newline, with a note where it had none."""
    if text and not text.endswith("\n"):
        return f"{text}\n\\ No newline at end of file\n"
    lines = split_lines(text)
    if lines and _NO_NEWLINE.match(lines[-1]):
        lines[-1] = "\\" + lines[-1]  # a line that reads like the note
    return "".join(lines)
