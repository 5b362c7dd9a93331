"""Frames and values: the only two things that cross the boundary of a sandbox.

A *frame* is one byte of kind, eight bytes of length (big-endian), and that many bytes. A *value*
is four bytes of length, JSON text, and after it the raw little-endian bytes of every array in the
order in which the text mentions them: ``{"$": [dtype, shape]}``. A dictionary key that starts with
``$`` is written with one more ``$``, so nothing a program returns can be mistaken for an array.
NaN and infinity are JSON's customary words ``NaN``, ``Infinity``, ``-Infinity``.

Nothing is unpickled. Lengths are checked before anything of that length is allocated, and bytes
that are not a well-formed message raise `WireError` and nothing else. This module runs on both
sides of the boundary: it uses the standard library, and numpy only where an array is met.
"""

from __future__ import annotations

import enum
import json
import math
import struct
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from evolve.core.values import Value

HEADER = struct.Struct(">BQ")
MAX_DEPTH = 64
MAX_ITEMS = 2_000_000  #: elements and keys outside arrays; bounds the memory JSON text can cost
MAX_DIMENSIONS = 16
DTYPES = frozenset(
    ["|b1", "|i1", "|u1"]
    + [f"<{kind}{size}" for kind in "iu" for size in (2, 4, 8)]
    + ["<f2", "<f4", "<f8", "<c8", "<c16"]
)

#: How an execution can end, as one byte; the words are those of `evolve.core.evaluation.Outcome`.
OUTCOMES = (
    "ok",
    "bad_output",
    "exception",
    "wall_timeout",
    "cpu_timeout",
    "out_of_memory",
    "signal",
    "exit",
    "output_too_large",
    "process_limit",
    "infrastructure",
)


_PLAIN: tuple[type[Any], ...] = (int, float, str, list, tuple)


class WireError(Exception):
    """Bytes that are no message, or a value that is not plain data."""


class FrameTooLarge(WireError):
    """A frame announces more bytes than its reader is ready to take."""


class Kind(enum.IntEnum):
    """What a frame carries."""

    HELLO = 1  #: runner to controller: ready
    OPEN = 2  #: a program and its limits
    CALL = 3  #: a function name and keyword arguments
    CLOSE = 4  #: controller to runner: kill, wipe and report
    REPLY = 5  #: runner to controller: outcome and usage of one call
    CLOSED = 6  #: runner to controller: the report of the session
    LOADED = 7  #: program to runner: imported
    VALUE = 8  #: program to runner: what a call returned
    FAILED = 9  #: program to runner: an outcome byte and text
    PREPARE = 10  #: controller to runner: libraries that programs to come will import
    PREPARED = 11  #: runner to controller: it has imported them


def pack(kind: Kind, body: bytes = b"") -> bytes:
    """Return one frame."""
    return HEADER.pack(kind, len(body)) + body


class FrameReader:
    """Cut a stream of bytes into frames.

    Args:
        limit: Longest body accepted, in bytes. May be changed between frames.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()

    @property
    def partial(self) -> bool:
        """Whether bytes of an incomplete frame are waiting."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[tuple[Kind, bytes]]:
        """Take the next bytes of the stream and return the frames they complete.

        Raises:
            FrameTooLarge: a header announces more than ``limit`` bytes.
            WireError: a header is of no known kind.
        """
        self._buffer += data
        frames: list[tuple[Kind, bytes]] = []
        while len(self._buffer) >= HEADER.size:
            number, length = HEADER.unpack_from(self._buffer)
            if length > self.limit:
                raise FrameTooLarge(f"a frame of {length} bytes, at most {self.limit} are taken")
            try:
                kind = Kind(number)
            except ValueError:
                raise WireError(f"frame of unknown kind {number}") from None
            end = HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append((kind, bytes(memoryview(self._buffer)[HEADER.size : end])))
            del self._buffer[:end]
        return frames


def pack_call(function: str, inputs: bytes) -> bytes:
    """Return the body of a `Kind.CALL` frame."""
    name = function.encode()
    return struct.pack(">H", len(name)) + name + inputs


def unpack_call(body: bytes) -> tuple[str, bytes]:
    """Undo `pack_call`."""
    (length,) = struct.unpack_from(">H", body)
    return body[2 : 2 + length].decode(), body[2 + length :]


def dumps(value: Value) -> bytes:
    """Encode plain data.

    Tuples become lists and numpy scalars Python scalars.

    Raises:
        WireError: ``value`` holds something that is not plain data, is nested deeper than
            `MAX_DEPTH`, or refers to itself.
    """
    arrays: list[bytes] = []
    try:
        text = json.dumps(_encode(value, arrays, 0), separators=(",", ":")).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise WireError(f"not plain data: {error}") from None
    return b"".join([struct.pack(">I", len(text)), text, *arrays])


def loads(data: bytes) -> Value:
    """Decode what `dumps` made. Arrays are writable copies.

    Raises:
        WireError: the bytes are not exactly one well-formed value.
    """
    try:
        (length,) = struct.unpack_from(">I", data)
        text = data[4 : 4 + length]
        if len(text) != length:
            raise WireError("a value ends in the middle of its text")
        if sum(text.count(mark) for mark in (b",", b"[", b"{")) > MAX_ITEMS:
            raise WireError(f"more than {MAX_ITEMS} elements outside arrays; return an array")
        arrays = _Arrays(memoryview(data)[4 + length :])
        value: Value = _decode(json.loads(text), arrays, 0)
        arrays.finish()
    except (ValueError, TypeError, OverflowError, RecursionError, struct.error) as error:
        raise WireError(f"not a well-formed value: {error}") from None
    return value


def _encode(value: Any, arrays: list[bytes], depth: int) -> Any:  # noqa: ANN401 - anything at all
    kind = type(value)
    if kind is float or kind is int or kind is str or kind is bool or value is None:
        return value
    if depth >= MAX_DEPTH:
        raise WireError(f"nested deeper than {MAX_DEPTH} levels")
    if kind is list or kind is tuple:
        return [_encode(item, arrays, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return _encode_mapping(value, arrays, depth)
    return _encode_other(value, arrays, depth)


def _encode_mapping(value: Mapping[Any, Any], arrays: list[bytes], depth: int) -> dict[str, Any]:
    encoded = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise WireError(f"dictionary key {str(key)[:40]!r} is not a string")
        encoded["$" + key if key.startswith("$") else str(key)] = _encode(item, arrays, depth + 1)
    return encoded


def _encode_other(value: Any, arrays: list[bytes], depth: int) -> Any:  # noqa: ANN401 - likewise
    """Encode arrays, numpy scalars, and subclasses of the plain types."""
    np = sys.modules.get("numpy")
    if np is not None and isinstance(value, np.ndarray):
        little = np.asarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
        if little.dtype.str not in DTYPES:
            raise WireError(f"array of dtype {value.dtype}; give bool, int, float or complex")
        arrays.append(little.tobytes())
        return {"$": [little.dtype.str, list(little.shape)]}
    if (
        np is not None
        and isinstance(value, np.generic)
        and not isinstance(value.item(), np.generic)
    ):
        return _encode(value.item(), arrays, depth + 1)
    for plain in _PLAIN:
        if isinstance(value, plain):
            return _encode(plain(value), arrays, depth + 1)
    hint = "; put it in an array" if isinstance(value, complex) else ""
    raise WireError(f"a {type(value).__name__} is not plain data{hint}")


class _Arrays:
    """Hand out the raw bytes behind a value's text, in order."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._used = data, 0

    def take(self, spec: object) -> NDArray[np.generic]:
        if not isinstance(spec, list) or len(spec) != 2 or spec[0] not in DTYPES:
            raise WireError("an array without a known dtype and a shape")
        dtype, shape = spec
        if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
            raise WireError("an array's shape is no list, or too long")
        if not all(type(size) is int and 0 <= size < 2**31 for size in shape):
            raise WireError("an array's shape has a size that is no small natural number")
        end = self._used + math.prod(shape) * int(dtype[2:])
        if end > len(self._data):
            raise WireError("an array is larger than the bytes that came with it")
        import numpy as np

        # Any nonzero byte means True; as it stands it would be a bool with undefined arithmetic.
        stored = "|u1" if dtype == "|b1" else dtype
        flat = np.frombuffer(self._data[self._used : end], dtype=stored)
        self._used = end
        return flat.astype(dtype, copy=True).reshape(shape)

    def finish(self) -> None:
        if self._used != len(self._data):
            raise WireError("bytes left over behind a value")


def _decode(node: Any, arrays: _Arrays, depth: int) -> Any:  # noqa: ANN401 - what json.loads gives
    kind = type(node)
    if kind is str:
        if not node.isascii():
            node.encode()  # lone surrogates cannot be stored or printed: refuse them here
        return node
    if kind is not list and kind is not dict:
        return node
    if depth >= MAX_DEPTH:
        raise WireError(f"nested deeper than {MAX_DEPTH} levels")
    if kind is list:
        return [_decode(item, arrays, depth + 1) for item in node]
    if len(node) == 1 and "$" in node:
        return arrays.take(node["$"])
    decoded = {}
    for key, item in node.items():
        name = _decode(key, arrays, depth)
        if name.startswith("$"):
            if not name.startswith("$$"):
                raise WireError(f"key {name[:40]!r} is reserved")
            name = name[1:]
        decoded[name] = _decode(item, arrays, depth + 1)
    return decoded
