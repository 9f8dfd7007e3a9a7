"""Resizing and blending."""

import cv2
import numpy as np
import pytest

from restore.imaging.alpha import resize_weighted
from restore.imaging.photo import Photo
from restore.imaging.resize import (
    blend_photos,
    blend_pixels,
    resize_lanczos,
    resize_mask,
    resize_photo,
)


def test_pixels_of_the_requested_size_are_returned_unchanged() -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    assert resize_lanczos(pixels, (6, 4)) is pixels
    assert resize_lanczos(pixels, (12, 8)).shape == (8, 12, 3)


def test_colours_of_a_transparent_photo_are_weighted_by_its_alpha() -> None:
    rng = np.random.default_rng(0)
    photo = Photo(
        "a", rng.integers(0, 256, (9, 8, 3), np.uint8), rng.integers(0, 256, (9, 8), "u1")
    )
    resized = resize_photo(photo, (16, 18))
    assert photo.alpha is not None
    pixels, alpha = resize_weighted(photo.pixels, photo.alpha, (16, 18), cv2.INTER_LANCZOS4)
    np.testing.assert_array_equal(resized.pixels, pixels)
    np.testing.assert_array_equal(resized.alpha, alpha)


def test_mask_is_resized_by_the_nearest_pixel() -> None:
    mask = np.zeros((2, 2), np.bool_)
    mask[0, 1] = True
    resized = resize_mask(mask, (4, 4))
    assert resized.dtype == np.bool_
    np.testing.assert_array_equal(resized, np.kron(mask, np.ones((2, 2))) > 0)
    assert resize_mask(mask, (2, 2)) is mask


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strength_weights_result_and_original(dtype: type[np.unsignedinteger]) -> None:
    result, original = np.full((3, 4), 100, dtype), np.full((3, 4), 200, dtype)
    assert blend_pixels(result, original, 1.0) is result
    np.testing.assert_array_equal(blend_pixels(result, original, 0.25), 175)
    np.testing.assert_array_equal(blend_pixels(result, original, 0.0), original)


def test_alpha_of_photos_is_blended_too() -> None:
    pixels = np.zeros((3, 4), np.uint8)
    result = Photo("a", pixels, np.full((3, 4), 100, np.uint8))
    original = Photo("a", pixels, np.full((3, 4), 200, np.uint8))
    np.testing.assert_array_equal(blend_photos(result, original, 0.5).alpha, 150)
    assert blend_photos(result, original, 1.0) is result
    opaque = Photo("a", pixels)
    np.testing.assert_array_equal(blend_photos(result, opaque, 0.5).alpha, 100)
    assert blend_photos(opaque, original, 0.5).alpha is None
