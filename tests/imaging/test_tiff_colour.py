"""Colour spaces that a TIFF states in its tags."""

import numpy as np
from photofiles import file_of, levels_apart, picture
from PIL import TiffImagePlugin

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
        assert levels_apart(photo.pixels, 255 * (1.055 * light ** (1 / 2.4) - 0.055)) <= 2
        np.testing.assert_array_equal(photo.native, pixels)


def test_impossible_tags_of_a_tiff_are_reported() -> None:
    photo = decode(tiff_of(picture(), {PRIMARIES: (0.3,) * 6}), "a")
    assert photo.icc is None
    assert "the colour space in its TIFF tags was ignored" in photo.warnings[0]


def test_incomplete_tags_of_a_tiff_are_reported() -> None:
    photo = decode(tiff_of(picture(), {PRIMARIES: P3_PRIMARIES[:4]}), "a")
    assert photo.icc is None
    assert "it has 6 chromaticity values instead of 8" in photo.warnings[0]
