"""Colour spaces that a BMP states in its header, and profiles that are embedded in a BMP."""

import io
import struct

import numpy as np
import pytest
from photofiles import adobe_profile, picture
from PIL import ImageCms

from restore.imaging.photo import decode


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
