"""Texts on their way into the database: shortened, cleaned, compressed.

Anything a program, a model or an evaluator wrote may come here: NUL characters, lone surrogates,
megabytes. Blobs keep all of it exactly; inline columns keep a readable form.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import NamedTuple

#: Characters kept of any one text that only explains (feedback, messages, artifacts, output).
#: Sources, prompts and replies are what a run is repeated from and are kept whole.
TEXT_LIMIT = 1_000_000


class Packed(NamedTuple):
    """A text as `evolve.store.schema.blobs` holds it; ``size`` is bytes before compression."""

    sha256: str
    size: int
    data: bytes


def clip(text: str, limit: int = TEXT_LIMIT) -> str:
    """Shorten ``text`` to ``limit`` characters: head, tail, and how much is missing between."""
    if len(text) <= limit:
        return text
    note = f" [... {len(text) - limit} or more characters left out ...] "
    kept = max(limit - len(note), 0)
    tail = kept // 2
    return text[: kept - tail] + note + text[len(text) - tail :]


def printable(text: str) -> str:
    """Replace NUL characters and lone surrogates, which a text column cannot hold."""
    return (
        text.encode("utf-8", "replace").decode("utf-8").replace("\0", "\N{REPLACEMENT CHARACTER}")
    )


def digest(text: str) -> str:
    """Return the SHA-256 of ``text``, by which its blob is known."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def pack(text: str) -> Packed:
    """Encode, hash and compress ``text`` without losing anything."""
    raw = text.encode("utf-8", "surrogatepass")
    return Packed(digest(text), len(raw), zlib.compress(raw))


def unpack(data: bytes) -> str:
    """Return the text that `pack` was given."""
    return zlib.decompress(data).decode("utf-8", "surrogatepass")
