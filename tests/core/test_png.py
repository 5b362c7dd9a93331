"""Only whole PNG files within the limits pass for images."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from evolve.core.png import BYTES_LIMIT, SIDE_LIMIT, encode_png, png_size

PIXELS = np.arange(6 * 5, dtype=np.uint8).reshape(6, 5)
PNG = encode_png(PIXELS)
HEADER = len(b"\x89PNG\r\n\x1a\n")


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int) -> bytes:
    return PNG[:HEADER] + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


@pytest.mark.parametrize("shape", [(6, 5), (3, 4, 3), (1, 1), (2, 300)])
def test_other_programs_read_the_same_pixels(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    written = encode_png(pixels)
    with Image.open(io.BytesIO(written)) as read:
        assert np.array_equal(np.asarray(read), pixels)
    assert png_size(written) == (shape[1], shape[0])


def test_what_another_program_wrote_passes() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (70, 30)).save(file, "PNG", optimize=True)
    assert png_size(file.getvalue()) == (70, 30)


@pytest.mark.parametrize(
    "pixels", [PIXELS.astype(float), np.zeros((2, 2, 4), np.uint8), np.zeros(4, np.uint8)]
)
def test_what_is_no_image_is_not_written(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="no image"):
        encode_png(pixels)


@given(st.integers(0, len(PNG) - 1), st.integers(1, 255))
def test_a_file_with_one_byte_changed_is_refused(place: int, by: int) -> None:
    changed = bytearray(PNG)
    changed[place] ^= by
    with pytest.raises(ValueError, match=r"PNG|pixels"):
        png_size(bytes(changed))


@given(st.integers(0, len(PNG) - 1))
def test_a_file_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="PNG"):
        png_size(PNG[:length])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is no PNG"),
        (b"<svg onload='alert(1)'/>", "is no PNG"),
        (b"\xff\xd8\xff\xe0" + PNG, "is no PNG"),
        (PNG + b"<script>", "cut off or damaged|cut off"),
        (header(5, 6) + chunk(b"IEND"), "without pixels"),
        (header(5, 6) + chunk(b"IDAT", b"x"), "without an end|without pixels or"),
        (PNG[:HEADER] + chunk(b"IEND"), "does not begin with a header"),
        (header(SIDE_LIMIT + 1, 1) + chunk(b"IDAT") + chunk(b"IEND"), "2049 x 1 pixels"),
        (header(0, 1) + chunk(b"IDAT") + chunk(b"IEND"), "0 x 1 pixels"),
        (header(1, 1) + chunk(b"IDAT", bytes(BYTES_LIMIT)) + chunk(b"IEND"), "bytes; 524288"),
    ],
)
def test_what_is_no_whole_image_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        png_size(data)
