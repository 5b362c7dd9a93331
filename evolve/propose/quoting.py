"""Texts that are data: cut to length, and set between boundaries that nothing inside can forge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evolve.propose.tokens import beginning, ending, estimate

#: Longest label of a quotation; names of files, cases and artifacts are shortened to it.
_LABEL = 120


@dataclass(frozen=True, slots=True)
class Quotation:
    """A text that is data, under a label; ``count`` is the number of things it lists."""

    label: str
    text: str
    count: int = 1


def quote(quotation: Quotation, token: str) -> str:
    """Set a text between boundary lines with ``token``; the label is made one printable line."""
    return f"BEGIN {token} {one_line(quotation.label)}\n{quotation.text}\nEND {token}"


def one_line(label: str) -> str:
    """Return a label as one printable line that is not too long."""
    return "".join(sign if sign.isprintable() else " " for sign in label)[:_LABEL]


def draw_token(rng: np.random.Generator, quoted: Iterable[Quotation]) -> str:
    """Draw a boundary token that occurs in none of the quotations."""
    texts = [text for quotation in quoted for text in (quotation.label, quotation.text)]
    while True:
        token = rng.bytes(8).hex()
        if not any(token in text for text in texts):
            return token


def clip(text: str, limit: int, *, keep: Literal["start", "end"] = "start") -> str:
    """Return ``text`` without trailing white space, cut to about ``limit`` tokens with a note.

    The note itself, of about 30 tokens, comes on top. A limit of 0 leaves the text out without a
    word. Characters that cannot be encoded are replaced.
    """
    text = text.encode("utf-8", "replace").decode().rstrip()
    if limit == 0:
        return ""
    size = estimate(text)
    if size <= limit:
        return text
    kept = beginning(text, limit) if keep == "start" else ending(text, limit)
    note = f"[... {len(text) - len(kept)} characters, about {size - estimate(kept)} tokens, "
    note += "left out ...]"
    return f"{kept}\n{note}" if keep == "start" else f"{note}\n{kept}"


def within(texts: Iterable[tuple[str, str]], limit: int) -> Iterator[Quotation]:
    """Yield quotations that together hold about ``limit`` tokens, the first ones most of them."""
    least = min(limit, 1)  # with no room left a text still says how much of it is left out
    for label, text in texts:
        yield Quotation(label, clip(text, limit))
        limit = max(limit - estimate(text), least)


def newest(lines: Iterable[str], limit: int) -> tuple[str, int]:
    """Return the last of ``lines`` that fit into ``limit`` tokens, and how many lines fit.

    What is left out is said in front. The very last line is cut where it does not fit.
    """
    lines, kept, size = list(lines), 0, 0
    if lines and limit:
        lines[-1] = clip(lines[-1], limit)
        kept, size = 1, estimate(lines[-1])
    for line in reversed(lines[:-1]):
        size += estimate(line) + 1
        if size > limit:
            break
        kept += 1
    left_out = len(lines) - kept
    head = [f"[... {left_out} older left out ...]"] if left_out else []
    return "\n".join([*head, *lines[left_out:]]), kept
