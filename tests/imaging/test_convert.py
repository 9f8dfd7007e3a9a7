"""Conversions between bit depths and between grey and RGB."""

import numpy as np

from restore.imaging.convert import to_8_bits, to_depth, to_float_levels, to_grey, to_rgb


def test_16_bits_are_rounded_to_8() -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    np.testing.assert_array_equal(to_8_bits(levels), np.rint(levels / 257.0).astype(np.uint8))


def test_8_bits_are_returned_unchanged() -> None:
    pixels = np.zeros((4, 4), np.uint8)
    assert to_8_bits(pixels) is pixels
    assert to_float_levels(pixels) is pixels
    assert to_depth(pixels, np.dtype(np.uint8)) is pixels


def test_8_bits_to_16_and_back_is_lossless() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    deep = to_depth(levels, np.dtype(np.uint16))
    assert deep.max() == 65535
    np.testing.assert_array_equal(to_8_bits(deep), levels)
    np.testing.assert_allclose(to_float_levels(deep), levels, atol=1e-4)


def test_grey_to_rgb_and_back_is_lossless() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    rgb = to_rgb(grey)
    assert rgb.shape == (16, 16, 3)
    assert to_rgb(rgb) is rgb
    np.testing.assert_array_equal(to_grey(rgb), grey)
    assert to_grey(grey) is grey
