"""Texts that are data: cut to length, and set between boundaries that nothing inside can forge."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

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
    label = "".join(sign if sign.isprintable() else " " for sign in quotation.label)[:_LABEL]
    return f"BEGIN {token} {label}\n{quotation.text}\nEND {token}"


def draw_token(rng: np.random.Generator, quoted: Iterable[Quotation]) -> str:
    """Draw a boundary token that occurs in none of the quotations."""
    texts = [text for quotation in quoted for text in (quotation.label, quotation.text)]
    while True:
        token = rng.bytes(8).hex()
        if not any(token in text for text in texts):
            return token


def clip(text: str, limit: int, *, keep: Literal["start", "end"] = "start") -> str:
    """Return ``text`` without trailing white space, cut to ``limit`` characters with a note.

    Characters that cannot be encoded are replaced.
    """
    text = text.encode("utf-8", "replace").decode().rstrip()
    left_out = len(text) - limit
    if left_out <= 0:
        return text
    if limit == 0:
        return ""
    note = f"[... {left_out} characters left out ...]"
    return f"{text[:limit]}\n{note}" if keep == "start" else f"{note}\n{text[-limit:]}"


def within(texts: Iterable[tuple[str, str]], limit: int) -> Iterator[Quotation]:
    """Yield quotations that together hold no more than ``limit`` characters."""
    for label, text in texts:
        yield Quotation(label, clip(text, limit))
        limit = max(limit - len(text), 0)


def newest(lines: Iterable[str], limit: int) -> tuple[str, int]:
    """Return the last of ``lines`` that fit into ``limit`` characters, and how many lines fit.

    What is left out is said in front.
    """
    lines, kept, size = list(lines), 0, 0
    for line in reversed(lines):
        size += len(line) + 1
        if size > limit:
            break
        kept += 1
    left_out = len(lines) - kept
    head = [f"[... {left_out} older left out ...]"] if left_out else []
    return "\n".join([*head, *lines[left_out:]]), kept
