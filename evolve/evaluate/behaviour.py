"""What a program does, as one number: a hash of its outputs, made where they are scored."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterable

import numpy as np

from evolve.core.values import Value


def digest_of(output: Value) -> str:
    """Return the SHA-256 of plain data: equal for equal data, whatever the order of its keys.

    Numbers count to the last bit, ``1`` and ``1.0`` differ, and so do a list and an array.
    """
    digest = hashlib.sha256()
    stack: list[object] = [output]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            digest.update(b"d%d " % len(value))
            for key in sorted(value, key=str, reverse=True):
                stack += [value[key], str(key)]
        elif isinstance(value, list | tuple):
            digest.update(b"l%d " % len(value))
            stack.extend(reversed(value))
        else:
            digest.update(_leaf(value))
    return digest.hexdigest()


def signature_of(digests: Iterable[str]) -> str:
    """Return the behaviour signature of a program from the digests of its outputs, in order."""
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


def _leaf(value: object) -> bytes:
    """Return a value that holds no others as bytes that say its type, its size and itself."""
    if isinstance(value, np.ndarray):
        head = f"a{value.dtype.str}{value.shape} ".encode()
        return head + np.ascontiguousarray(value).tobytes()
    if isinstance(value, float):
        return b"f" + (b"nan" if math.isnan(value) else struct.pack("<d", value))
    text = (
        value.encode("utf-8", "surrogatepass") if isinstance(value, str) else repr(value).encode()
    )
    return f"{type(value).__name__}{len(text)} ".encode() + text
