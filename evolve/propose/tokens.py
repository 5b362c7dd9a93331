"""How many tokens a text takes, without any model's vocabulary.

The estimate counts pieces of a text that tokenizers keep together at most: five letters with a
space before them, a digit, a sign, a run of white space, a byte of what is not ASCII. Beside the
tokenizers of four models it was 1.0 to 1.5 times the largest count for programs, prose, numbers
and tracebacks, and more for other scripts. It falls short where letters make no words: random ones
took up to 2.6 times as many tokens as estimated (`tests/propose/token_counts.json`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: Together these match every character.
_PIECE = re.compile(
    r" [A-Z]?[a-z]{1,5}|[A-Z]{1,2}|[a-z]{1,5}|[0-9]|\n+[ \t]*|[ \t]+"
    r"|([=#*~_-])\1{1,7}|[\x00-\x7f]|[^\x00-\x7f]"
)


def estimate(text: str) -> int:
    """Return about how many tokens ``text`` takes; never more than its bytes in UTF-8."""
    further_bytes = len(text.encode("utf-8", "replace")) - len(text)  # each such sign is a piece
    return len(_PIECE.findall(text)) + further_bytes


def beginning(text: str, limit: int) -> str:
    """Return the longest beginning of ``text``, in pieces, that is estimated at ``limit``."""
    fits = 0
    for end, cost in _pieces(text):
        limit -= cost
        if limit < 0:
            break
        fits = end
    return text[:fits]


def ending(text: str, limit: int) -> str:
    """Return the longest end of ``text``, in pieces, that is estimated at ``limit``."""
    excess, start = estimate(text) - limit, 0
    for end, cost in _pieces(text):
        if excess <= 0:
            break
        excess, start = excess - cost, end
    return text[start:]


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each piece ends and how many tokens it counts for."""
    for match in _PIECE.finditer(text):
        piece = match.group()
        yield match.end(), 1 if piece.isascii() else len(piece.encode("utf-8", "replace"))
