"""Colour spaces of TIFF tags and of BMP headers, and profiles that are damaged in the file."""

import io
import struct
import zlib

import numpy as np
import pytest
from photofiles import adobe_profile, chunk, file_of, levels_apart, picture, png_file
from PIL import Image, ImageCms, TiffImagePlugin

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


def bmp_of(pixels: np.ndarray, space: bytes, primaries: list[float], gamma: float) -> bytes:
    """Return a BMP with a header of version 5."""
    height, width = pixels.shape[:2]
    rows = pixels[::-1, :, ::-1].tobytes()
    header = struct.pack("<IiiHHIIiiII", 124, width, height, 1, 24, 0, len(rows), 0, 0, 0, 0)
    header += bytes(16) + space + struct.pack("<9I", *(round(x * 2**30) for x in primaries))
    header += struct.pack("<3I", *[round(gamma * 2**16)] * 3) + struct.pack("<IIII", 4, 0, 0, 0)
    return struct.pack("<2sIHHI", b"BM", 138 + len(rows), 0, 0, 138) + header + rows


P3_XYZ = [0.4866, 0.2290, 0.0, 0.2657, 0.6917, 0.0451, 0.1982, 0.0793, 1.0439]
P3_XYZ_CHROMATICITIES = [0.68, 0.32, 0.0, 0.265, 0.69, 0.045, 0.15, 0.06, 0.79]
SRGB_XYZ = [0.4124, 0.2126, 0.0193, 0.3576, 0.7152, 0.1192, 0.1805, 0.0722, 0.9505]


@pytest.mark.parametrize("primaries", [P3_XYZ, P3_XYZ_CHROMATICITIES])
@pytest.mark.parametrize("gamma", [2.2, 1 / 2.2, 0.0])
def test_primaries_of_a_bmp_become_a_profile(primaries: list[float], gamma: float) -> None:
    photo = decode(bmp_of(picture(48, 64), bytes(4), primaries, gamma), "a")
    np.testing.assert_array_equal(photo.pixels, picture(48, 64))
    assert (photo.facts()["icc"], photo.converted, photo.warnings) == ("BMP header", False, ())
    assert photo.icc is not None
    stated = ImageCms.ImageCmsProfile(io.BytesIO(photo.icc)).profile.red_primary
    assert stated is not None
    assert stated[1][:2] == pytest.approx((0.68, 0.32), abs=0.02)  # adapted to D50


def test_gamma_of_a_bmp_is_used() -> None:
    assert decode(bmp_of(picture(48, 64), bytes(4), [0.0] * 9, 1.0), "a").converted


@pytest.mark.parametrize(
    ("space", "primaries", "gamma", "warning"),
    [
        (bytes(4), [0.0] * 9, 0.0, ""),
        (bytes(4), SRGB_XYZ, 2.2, ""),
        (b"BGRs", P3_XYZ, 1.0, ""),
        (bytes(4), [0.3, 0.3, 0.3] * 3, 2.2, "BMP header was ignored"),
        (bytes(4), [0.0, 0.0, 0.0, *P3_XYZ[3:]], 2.2, "BMP header was ignored"),
        (b"KNIL", [0.0] * 9, 0.0, "profile is in another file"),
    ],
)
def test_bmp_without_another_space_has_no_profile(
    space: bytes, primaries: list[float], gamma: float, warning: str
) -> None:
    photo = decode(bmp_of(picture(48, 64), space, primaries, gamma), "a")
    assert photo.icc is None
    assert warning in "".join(photo.warnings)
    assert len(photo.warnings) == bool(warning)


def test_profile_and_xmp_of_a_gif_are_used() -> None:
    icc, xmp = adobe_profile(), b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>a caption</x:xmpmeta>"
    plain = file_of(Image.fromarray(picture()).quantize(16), "GIF")
    blocks = (icc[at : at + 255] for at in range(0, len(icc), 255))
    sizes = b"".join(bytes([len(block)]) + block for block in blocks)
    trailer = bytes([1, *range(255, -1, -1), 0])
    added = b"!\xff\x0bICCRGBG1012" + sizes + b"\0!\xff\x0bXMP DataXMP" + xmp + trailer
    end_of_palette = 13 + (3 << (plain[10] & 7) + 1)
    photo = decode(plain[:end_of_palette] + added + plain[end_of_palette:], "a")
    np.testing.assert_array_equal(photo.pixels, decode(plain, "a").pixels)
    assert (photo.icc, photo.metadata.xmp, photo.warnings) == (icc, xmp, ())


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
