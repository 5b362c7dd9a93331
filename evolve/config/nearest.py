"""Suggest the name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_LISTED = 20


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message: the nearest of ``known``, else all of them.

    The text starts with a semicolon, or is empty when nothing is known.
    """
    names = list(dict.fromkeys(known))
    folded = {name.casefold(): name for name in reversed(names)}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{folded[near[0]]}'?"
    more = ", ..." if len(names) > MAX_LISTED else ""
    return f"; known: {', '.join(names[:MAX_LISTED])}{more}" if names else ""
