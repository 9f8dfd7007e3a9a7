"""The estimate of fading from black and white points."""

import numpy as np
import pytest
from photofiles import chunk, png_file
from skimage import data

from restore.imaging.fading import estimate_fading
from restore.imaging.photo import Photo, decode

GOOD = data.astronaut()[:240, 100:400]
FADED = (70 + 0.6 * GOOD * (1.0, 0.9, 0.75)).astype(np.uint8)
"""Light black, dull white and a cast."""


def test_good_photo_has_not_faded() -> None:
    estimate = estimate_fading(Photo("a", GOOD))
    assert not estimate.is_faded
    assert estimate.black_lightness < 5
    assert estimate.density_range > 1.5
    assert estimate.reason.endswith("as in a photo that has not faded")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_faded_photo_is_found_in_every_depth(dtype: type) -> None:
    pixels = FADED if dtype is np.uint8 else FADED.astype(np.uint16) * np.uint16(257)
    estimate = estimate_fading(Photo("a", pixels))
    assert estimate.is_faded
    assert estimate.black_points == pytest.approx((0.064, 0.062, 0.062), abs=0.01)
    assert estimate.white_points[0] > 1.1 * estimate.white_points[2]
    assert estimate.cast > 4 > estimate_fading(Photo("a", GOOD)).cast
    assert "faded" in estimate.reason
    assert f"{estimate.black_lightness:.0f} of 100" in estimate.reason


def test_black_that_is_light_in_one_channel_only_is_no_fading() -> None:
    pixels = GOOD.copy()
    pixels[..., 0] = FADED[..., 0]
    estimate = estimate_fading(Photo("a", pixels))
    assert estimate.black_points[0] > 0.05
    assert estimate.black_lightness < 5
    assert not estimate.is_faded


def test_grey_photo_has_no_cast() -> None:
    estimate = estimate_fading(Photo("a", FADED[..., 1]))
    assert estimate.cast == pytest.approx(0, abs=0.1)
    assert estimate.is_faded


def test_transparent_pixels_do_not_count() -> None:
    alpha = np.full(FADED.shape[:2], 255, np.uint8)
    alpha[:120] = 0
    pixels = FADED.copy()
    pixels[:120] = 0
    assert not estimate_fading(Photo("a", pixels)).is_faded
    assert estimate_fading(Photo("a", pixels, alpha)).is_faded
    hidden = estimate_fading(Photo("a", pixels, np.zeros_like(alpha)))
    assert hidden.black_points == (0.0, 0.0, 0.0)


def test_points_are_those_of_srgb_in_every_space() -> None:
    plain = np.full((40, 40, 3), (200, 60, 60), np.uint8)
    wide = decode(png_file(plain, chunk(b"cICP", bytes([12, 13, 0, 1]))), "a")
    red, green, _ = estimate_fading(wide).white_points
    plain_red, plain_green, _ = estimate_fading(Photo("a", plain)).white_points
    assert red > 1.05 * plain_red
    assert green < 0.9 * plain_green
