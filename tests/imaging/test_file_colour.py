"""Colour spaces of TIFF tags and of BMP headers, and profiles that are damaged in the file."""

import io
import struct
import zlib

import numpy as np
import pytest
from photofiles import adobe_profile, chunk, file_of, levels_apart, picture, png_file
from PIL import Image, TiffImagePlugin

from restore.imaging.encode import encode
from restore.imaging.photo import decode

D65 = (0.3127, 0.3290)
P3_PRIMARIES = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
SRGB_PRIMARIES = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
TRANSFER_FUNCTION, WHITE_POINT, PRIMARIES = 301, 318, 319


def tiff_of(pixels: np.ndarray, tags: dict[int, tuple[float, ...]]) -> bytes:
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, values in tags.items():
        directory[tag] = values
        directory.tagtype[tag] = 3 if tag == TRANSFER_FUNCTION else 5
    return file_of(pixels, "TIFF", tiffinfo=directory)


def test_primaries_of_a_tiff_become_a_profile() -> None:
    data = tiff_of(picture(), {WHITE_POINT: D65, PRIMARIES: P3_PRIMARIES})
    photo = decode(data, "a")
    assert photo.facts()["icc"] == "TIFF tags"
    assert photo.warnings == ()
    again = decode(encode(photo, "png", 90)[0], "a")
    np.testing.assert_array_equal(again.pixels, picture())
    assert again.icc == photo.icc


def test_tiff_with_the_primaries_of_srgb_has_no_profile() -> None:
    photo = decode(tiff_of(picture(), {PRIMARIES: SRGB_PRIMARIES}), "a")
    assert (photo.icc, photo.warnings) == (None, ())


def test_transfer_function_of_a_tiff_is_used() -> None:
    linear = tuple(round(65535 * level / 255) for level in range(256))
    for pixels, curve in ((picture(), linear * 3), (picture()[..., 0], linear)):
        photo = decode(tiff_of(np.ascontiguousarray(pixels), {TRANSFER_FUNCTION: curve}), "a")
        assert photo.converted
        light = pixels / 255
        assert (
            levels_apart(photo.pixels / 255 * 255, 255 * (1.055 * light ** (1 / 2.4) - 0.055)) <= 2
        )
        np.testing.assert_array_equal(photo.native, pixels)


def test_impossible_tags_of_a_tiff_are_reported() -> None:
    photo = decode(tiff_of(picture(), {PRIMARIES: (0.3,) * 6}), "a")
    assert photo.icc is None
    assert "the colour space in its TIFF tags was ignored" in photo.warnings[0]


def test_profile_in_a_bmp_is_used() -> None:
    pixels, icc = picture(48, 64), adobe_profile()
    rows = pixels[::-1, :, ::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, 64, 48, 1, 24, 0, len(rows), 0, 0, 0, 0)
    header += bytes(16) + b"DEBM" + bytes(48)
    header += struct.pack("<IIII", 4, 124 + len(rows), len(icc), 0)
    size = 14 + len(header) + len(rows) + len(icc)
    data = struct.pack("<2sIHHI", b"BM", size, 0, 0, 14 + len(header)) + header + rows + icc
    photo = decode(data, "a")
    np.testing.assert_array_equal(photo.pixels, pixels)
    assert photo.icc == icc


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_damaged_profile_is_reported(kind: str) -> None:
    if kind == "jpeg":
        data = file_of(picture(), "JPEG", icc_profile=adobe_profile())
        data = data.replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\1\2")  # the first of two parts
    else:
        body = bytearray(zlib.compress(adobe_profile()))
        body[20] ^= 255
        data = png_file(picture(), chunk(b"iCCP", b"x\0\0" + bytes(body)))
    assert Image.open(io.BytesIO(data)).size == (64, 48)
    photo = decode(data, "a")
    assert photo.icc is None
    assert "colour profile" in photo.warnings[0]
