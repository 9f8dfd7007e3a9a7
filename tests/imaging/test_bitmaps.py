"""BMP and DIB files: header versions, alpha, and 16-bit files with dark values."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from restore.imaging.photo import decode

GENERATOR = np.random.default_rng(7)
RGB = GENERATOR.integers(0, 256, (24, 30, 3), np.uint8)
HEIGHT, WIDTH = RGB.shape[:2]
BGR = RGB[..., ::-1]
MASKS = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)
FILE_HEADER_BYTES = 14


def rows(pixels: np.ndarray) -> bytes:
    """Return rows from the bottom to the top, each padded to a multiple of four bytes."""
    data = [row.tobytes() for row in pixels[::-1]]
    return b"".join(row.ljust(-(-len(row) // 4) * 4, b"\0") for row in data)


def info_header(bits: int, compression: int = 0, height: int = HEIGHT) -> bytes:
    return struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, bits, compression, 0, 2835, 2835, 0, 0)


def core_header(bits: int) -> bytes:
    return struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, bits)


def v5_header() -> bytes:
    start = struct.pack("<IiiHHIIiiII", 124, WIDTH, HEIGHT, 1, 32, 3, 0, 0, 0, 0, 0)
    return (start + MASKS + struct.pack("<I", 0xFF000000) + b"BGRs").ljust(124, b"\0")


def with_alpha(alpha: int) -> np.ndarray:
    return np.dstack([BGR, np.full((HEIGHT, WIDTH), alpha, np.uint8)])


def as_bmp(dib: bytes, offset: int) -> bytes:
    size = FILE_HEADER_BYTES + len(dib)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, FILE_HEADER_BYTES + offset) + dib


DIBS = {
    "24 bits": (info_header(24) + rows(BGR), 40),
    "core header": (core_header(24) + rows(BGR), 12),
    "32 bits": (info_header(32) + rows(with_alpha(0)), 40),
    "32 bits with masks": (info_header(32, 3) + MASKS + rows(with_alpha(0)), 52),
    "top-down": (info_header(32, 0, -HEIGHT) + rows(with_alpha(0)[::-1]), 40),
    "version 5": (v5_header() + rows(with_alpha(0)), 124),
}


@pytest.mark.parametrize("kind", DIBS)
@pytest.mark.parametrize("has_file_header", [True, False])
def test_bitmap_is_decoded_exactly(kind: str, has_file_header: bool) -> None:
    dib, offset = DIBS[kind]
    photo = decode(as_bmp(dib, offset) if has_file_header else dib, "a.bmp")
    assert np.array_equal(photo.pixels, RGB)
    assert photo.alpha is None


def test_alpha_that_is_0_everywhere_is_ignored_with_a_warning() -> None:
    photo = decode(as_bmp(*DIBS["version 5"]), "a.bmp")
    assert any("alpha channel is 0 everywhere" in warning for warning in photo.warnings)


def test_alpha_of_a_bitmap_is_kept() -> None:
    photo = decode(as_bmp(v5_header() + rows(with_alpha(9)), 124), "a.bmp")
    assert photo.alpha is not None
    assert np.array_equal(np.unique(photo.alpha), [9])
    assert np.array_equal(photo.pixels, RGB)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bits_with_values_of_8_bits_stay_dark_with_a_warning(file_format: str) -> None:
    dark = RGB[..., 0].astype(np.uint16)
    out = io.BytesIO()
    Image.fromarray(dark).save(out, file_format)
    photo = decode(out.getvalue(), "a")
    assert np.array_equal(photo.pixels, dark)
    assert any("nearly black" in warning for warning in photo.warnings), photo.warnings


def test_16_bits_with_all_values_have_no_warning() -> None:
    out = io.BytesIO()
    Image.fromarray(RGB[..., 0].astype(np.uint16) * np.uint16(257)).save(out, "PNG")
    assert decode(out.getvalue(), "a").warnings == ()
