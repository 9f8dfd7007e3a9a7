"""Reduction of photos: linear light, alpha, depth, sizes and masks."""

import numpy as np
import pytest
from photofiles import alpha_of, chunk, levels_apart, picture, png_file

from restore.imaging.encode import encode
from restore.imaging.photo import Photo, decode
from restore.imaging.reduce import reduce_mask, reduce_photo, reduced_size


def test_mean_is_that_of_the_light() -> None:
    lines = np.repeat(np.array([[0, 255]], np.uint8), 8, 0).repeat(1, 1)
    stripes = np.tile(lines, (2, 8))
    reduced = reduce_photo(Photo("a", stripes), (8, 16))
    # Half of the light is 188 in sRGB, not 128.
    np.testing.assert_array_equal(reduced.pixels, np.full((16, 8), 188))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_flat_areas_keep_their_levels(dtype: type[np.unsignedinteger]) -> None:
    full = int(np.iinfo(dtype).max)
    for level in (0, 1, full // 3, full - 1, full):
        photo = Photo("a", np.full((40, 60, 3), level, dtype), np.full((40, 60), full, dtype))
        reduced = reduce_photo(photo, (17, 11))
        assert reduced.pixels.dtype == dtype
        assert levels_apart(reduced.pixels, np.full((11, 17, 3), level)) == 0
        assert alpha_of(reduced).min() == full


def test_smooth_photo_keeps_its_colours() -> None:
    reduced = reduce_photo(Photo("a", picture(96, 128)), (64, 48))
    expected = picture(96, 128).reshape(48, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(reduced.pixels - expected).max() <= 2


def test_hidden_colours_do_not_reach_visible_ones() -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, 15:] = (10, 200, 30)
    alpha = np.zeros((32, 32), np.uint8)
    alpha[:, 15:] = 255
    reduced = reduce_photo(Photo("a", pixels, alpha), (8, 8))
    visible = alpha_of(reduced) > 8
    assert levels_apart(reduced.pixels[visible], np.array([[10, 200, 30]])) <= 1
    assert alpha_of(reduced)[0].tolist() == [0, 0, 0, 64, 255, 255, 255, 255]


def test_hidden_colours_stay() -> None:
    alpha = np.zeros((32, 32), np.uint8)
    alpha[:, 16:] = 255
    reduced = reduce_photo(Photo("a", np.full((32, 32, 3), (10, 200, 30), np.uint8), alpha), (8, 8))
    assert levels_apart(reduced.pixels, np.full((8, 8, 3), (10, 200, 30))) <= 1


def test_values_as_stored_are_not_those_of_the_reduced_photo() -> None:
    linear = chunk(b"gAMA", (100_000).to_bytes(4, "big"))
    photo = decode(png_file(picture(), linear), "a")
    assert photo.native is not None
    reduced = reduce_photo(photo, (32, 24))
    assert reduced.native is None
    again = decode(encode(reduced, "png", 95)[0], "a")
    assert levels_apart(again.pixels, reduced.pixels) <= 1


def test_photo_of_this_size_is_returned() -> None:
    photo = Photo("a", picture())
    assert reduce_photo(photo, (64, 48)) is photo


@pytest.mark.parametrize(
    ("width", "height", "max_pixels", "expected"),
    [
        (4000, 3000, 12e6, (4000, 3000)),
        (4000, 3000, 3e6, (2000, 1500)),
        (4000, 3000, 1e6, (1154, 866)),
        (100, 50, 1e6, (100, 50)),
        (100_000, 9, 10_000, (10_540, 8)),
    ],
)
def test_reduced_size(
    width: int, height: int, max_pixels: float, expected: tuple[int, int]
) -> None:
    size = reduced_size(width, height, max_pixels)
    assert size == expected
    assert min(size) == 8 or size[0] * size[1] <= max_pixels


def test_thin_parts_of_a_mask_stay() -> None:
    mask = np.zeros((100, 100), bool)
    mask[50, 3:90] = True
    reduced = reduce_mask(mask, (10, 10))
    assert reduced.sum() == 9
    assert reduced[5, :9].all()
    assert reduce_mask(mask, (100, 100)) is mask
