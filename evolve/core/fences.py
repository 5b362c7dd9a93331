"""Fenced code in a model's reply."""

from __future__ import annotations

import re
from dataclasses import dataclass

from evolve.core.hunks import fence_of, path_above
from evolve.core.matching import indent_of
from evolve.core.program import split_lines


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of code in a reply.

    Attributes:
        text: What stands between the fences.
        path: The file it is said to be, or None.
        language: First word of the fence's info string, in lower case.
        closed: Whether the closing fence is there.
    """

    text: str
    path: str | None = None
    language: str = ""
    closed: bool = True


def fenced_code(text: str) -> list[Code]:
    """Return all filled fences of ``text``; one that is never closed reaches to the end.

    A fence that is shorter than the opening one, or stands further in, belongs to the code: a
    docstring may hold one.
    """
    lines = split_lines(text)
    found: list[Code] = []
    number = after = 0
    while number < len(lines):
        if (opening := fence_of(lines[number])) is not None:
            end = _closing(lines, number, opening[0])
            if any(map(str.strip, lines[number + 1 : end])):
                margin = len(indent_of(lines[number]))
                body = [_outdent(line, margin) for line in lines[number + 1 : end]]
                language = re.split(r"[\s:{]", opening[1], maxsplit=1)[0].lower()
                path = path_above(lines[after : number + 1])
                found.append(Code("".join(body), path, language, closed=end < len(lines)))
            number, after = end, end + 1
        number += 1
    return found


def _closing(lines: list[str], start: int, run: str) -> int:
    """Return the index of the line that closes the fence of line ``start``, or one past the end."""
    margin = len(indent_of(lines[start]))
    for number in range(start + 1, len(lines)):
        fence = fence_of(lines[number])
        is_closing = fence is not None and len(fence[0]) >= len(run) and not fence[1]
        if is_closing and len(indent_of(lines[number])) <= margin:
            return number
    return len(lines)


def _outdent(line: str, margin: int) -> str:
    """Take up to ``margin`` blanks off the left of ``line``."""
    return line[min(margin, len(indent_of(line))) :] if line.strip() else line
