"""PNG images: what an evaluator draws is checked before it is stored, shown or sent to a model.

The format is that of the PNG specification (W3C, third edition, 2025); only whole files pass.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

#: Bytes of one image, and pixels of its longer side.
BYTES_LIMIT, SIDE_LIMIT = 512 * 1024, 2048

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: Length, type and checksum of a chunk.
_AROUND = 12


def png_size(data: bytes) -> tuple[int, int]:
    """Return width and height in pixels of a whole PNG file within the limits.

    Pixels are not decoded: signature, checksums of all chunks, the first chunk and the last one are
    looked at.

    Raises:
        ValueError: it is something else, is damaged, has something behind it, or is too large.
    """
    if len(data) > BYTES_LIMIT:
        raise ValueError(f"has {len(data)} bytes; {BYTES_LIMIT} are kept at most")
    if not data.startswith(_SIGNATURE):
        raise ValueError("is no PNG")
    chunks = list(_chunks(data))
    kind, body = chunks[0]
    if kind != b"IHDR" or len(body) != 13:
        raise ValueError("is no PNG: it does not begin with a header")
    if chunks[-1][0] != b"IEND" or not any(kind == b"IDAT" for kind, _ in chunks):
        raise ValueError("is a PNG without pixels or without an end")
    width, height = struct.unpack_from(">II", body)
    if not (0 < width <= SIDE_LIMIT and 0 < height <= SIDE_LIMIT):
        raise ValueError(f"is {width} x {height} pixels; a side has {SIDE_LIMIT} at most")
    return width, height


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return an image as a PNG file; the same pixels give the same bytes with the same zlib.

    Args:
        pixels: Shape ``(height, width)`` for grey, ``(height, width, 3)`` for red, green and blue;
            0 is dark.

    Raises:
        ValueError: they are of another shape or type.
    """
    colour = {2: 0, 3: 2}.get(pixels.ndim)
    if pixels.dtype != np.uint8 or colour is None or (colour == 2 and pixels.shape[2] != 3):
        raise ValueError(f"pixels are {pixels.dtype} of shape {pixels.shape}, no image")
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    unfiltered = np.zeros((height, 1), np.uint8)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    body = zlib.compress(np.hstack((unfiltered, rows)).tobytes(), 9)
    chunks = ((b"IHDR", header), (b"IDAT", body), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and data of each chunk.

    Raises:
        ValueError: a chunk is cut off or does not have its checksum.
    """
    place = len(_SIGNATURE)
    while place < len(data) or place == len(_SIGNATURE):
        if len(data) - place < _AROUND:
            raise ValueError("is a PNG that is cut off")
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + _AROUND + length
        kind, body = data[place + 4 : place + 8], data[place + 8 : end - 4]
        if end > len(data) or data[end - 4 : end] != struct.pack(">I", zlib.crc32(kind + body)):
            raise ValueError("is a PNG that is cut off or damaged")
        yield kind, body
        place = end
