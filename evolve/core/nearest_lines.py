"""The part of a program that is most like some lines, for messages to models."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Mapping

# Bounds on the work for one message, and on its length.
_MAX_WANTED = 50
_MAX_LINES = 5_000
_MAX_PLACES = 50
_MAX_COMPARED = 1_000
_MAX_SHOWN = 15
_MAX_WIDTH = 160


def nearest_lines(files: Mapping[str, list[str]], wanted: list[str]) -> str:
    """Return the lines of ``files`` most like ``wanted``, numbered; empty when nothing is alike.

    Lines that occur in both vote for where ``wanted`` was meant to stand; without any, the one
    most like the longest of ``wanted`` shows the place.

    Args:
        files: Path to lines; only the first thousands of lines are compared.
        wanted: The lines looked for.
    """
    lines = [line.strip() for line in wanted[:_MAX_WANTED]]
    place = _by_vote(files, lines) or _by_likeness(files, lines)
    if place is None:
        return ""
    path, first = place
    last = min(first + min(len(wanted), _MAX_SHOWN - 2) + 1, len(files[path]))
    first = max(first - 1, 0)
    shown = "".join(
        f"{number:5} | {line.rstrip()[:_MAX_WIDTH]}\n"
        for number, line in enumerate(files[path][first:last], start=first + 1)
    )
    return f"The nearest lines of {path} are:\n{shown}"


def _by_vote(files: Mapping[str, list[str]], wanted: list[str]) -> tuple[str, int] | None:
    votes: Counter[tuple[str, int]] = Counter()
    for path, lines in files.items():
        places: dict[str, list[int]] = {}
        for number, line in enumerate(lines[:_MAX_LINES]):
            places.setdefault(line.strip(), []).append(number)
        for offset, line in enumerate(wanted):
            if len(line) > 1:  # brackets say little
                for number in places.get(line, [])[:_MAX_PLACES]:
                    votes[path, max(number - offset, 0)] += len(line)
    return votes.most_common(1)[0][0] if votes else None


def _by_likeness(files: Mapping[str, list[str]], wanted: list[str]) -> tuple[str, int] | None:
    offset, line = max(enumerate(wanted), key=lambda item: len(item[1]))
    places: dict[str, tuple[str, int]] = {}
    for path, lines in files.items():
        for number, other in enumerate(lines[:_MAX_COMPARED]):
            places.setdefault(other.strip()[:_MAX_WIDTH], (path, max(number - offset, 0)))
    alike = difflib.get_close_matches(line[:_MAX_WIDTH], [key for key in places if key], n=1)
    return places[alike[0]] if alike else None
