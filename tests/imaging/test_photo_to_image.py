"""Photos as PIL images, and in one line."""

from typing import Any

import numpy as np
import pytest
from photofiles import adobe_profile, curve, deep_picture, file_of, grey_profile, picture, profile

from restore.errors import Code, RestoreError
from restore.imaging.convert import to_8_bits
from restore.imaging.photo import Photo, open_photo

COLOUR, ALPHA = picture(), picture()[..., 0]


@pytest.mark.parametrize(
    ("array", "mode"),
    [
        (COLOUR, "RGB"),
        (ALPHA, "L"),
        (np.dstack([COLOUR, ALPHA]), "RGBA"),
        (np.dstack([ALPHA, ALPHA]), "LA"),
        (np.uint16(257) * ALPHA, "I;16"),
    ],
)
def test_photo_becomes_an_image_of_the_same_values(array: np.ndarray, mode: str) -> None:
    image = open_photo(array).to_image()
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image), array)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_16_bits_that_an_image_cannot_hold_are_reduced(channels: int) -> None:
    eight = np.dstack([COLOUR, ALPHA])[..., -channels:]
    array = np.uint16(257) * eight
    np.testing.assert_array_equal(np.asarray(open_photo(array).to_image()), eight)


def test_grey_of_16_bits_is_reduced_if_asked() -> None:
    photo = open_photo(np.uint16(257) * ALPHA)
    image = photo.to_image(bits=8)
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), ALPHA)
    np.testing.assert_array_equal(np.asarray(open_photo(COLOUR).to_image(bits=8)), COLOUR)


def test_image_of_8_bits_of_linear_light_has_the_tones_of_srgb() -> None:
    """Like the JPEG of the photo: 8 bits of linear light have too few levels in the shadows."""
    linear = profile(b"GRAY", {b"kTRC": curve(1.0)})
    photo = open_photo(file_of(deep_picture(1), "PNG", icc_profile=linear))
    assert photo.converted
    assert "icc_profile" in photo.to_image().info
    image = photo.to_image(bits=8)
    assert "icc_profile" not in image.info
    np.testing.assert_array_equal(np.asarray(image), to_8_bits(photo.pixels))


@pytest.mark.parametrize("bits", [0, 10, "8", None])
def test_other_bits_of_an_image_are_refused(bits: Any) -> None:
    with pytest.raises(RestoreError, match=r"bits is .* Use 8 or 16\.") as caught:
        open_photo(COLOUR).to_image(bits=bits)
    assert caught.value.code is Code.OPTION_INVALID


def test_image_has_the_profile_and_the_values_of_the_file() -> None:
    for gamma_file in (adobe_profile(), grey_profile()):
        samples = picture() if gamma_file == adobe_profile() else picture()[..., 0]
        image = open_photo(file_of(samples, "PNG", icc_profile=gamma_file)).to_image()
        assert image.info["icc_profile"] == gamma_file
        np.testing.assert_array_equal(np.asarray(image), samples)
    assert "icc_profile" not in open_photo(picture()).to_image().info


def test_photo_is_shown_in_one_line() -> None:
    assert repr(Photo("a.jpg", picture())) == "<Photo 'a.jpg': 64x48 RGB, 8 bits>"
    assert repr(open_photo(np.dstack([ALPHA, ALPHA]))) == "<Photo 'photo': 64x48 LA, 8 bits>"
