"""Resizing on a device equals OpenCV's."""

import cv2
import numpy as np
import pytest
import torch

from restore.runtime.resampling import axis_taps, resize_planes

RNG = np.random.default_rng(0)
FILTERS = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4)


def resized(pixels: np.ndarray, size: tuple[int, int], interpolation: int) -> np.ndarray:
    planes = torch.from_numpy(pixels).permute(2, 0, 1)
    return resize_planes(planes, size, interpolation).permute(1, 2, 0).numpy()


@pytest.mark.parametrize("size", [(37, 41), (150, 122), (75, 200), (100, 61), (7, 3)])
@pytest.mark.parametrize("interpolation", FILTERS)
def test_filter_equals_opencv(size: tuple[int, int], interpolation: int) -> None:
    pixels = RNG.random((61, 75, 3), np.float32)
    expected = cv2.resize(pixels, size, interpolation=interpolation)
    np.testing.assert_allclose(resized(pixels, size, interpolation), expected, atol=2e-5)


@pytest.mark.parametrize("size", [(25, 20), (37, 41), (75, 11), (74, 60), (1, 1)])
def test_reduction_by_area_equals_opencv(size: tuple[int, int]) -> None:
    pixels = RNG.random((60, 75, 3), np.float32)
    expected = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(resized(pixels, size, cv2.INTER_AREA), expected, atol=2e-5)


def test_planes_of_the_size_are_returned_unchanged() -> None:
    planes = torch.rand(2, 5, 7)
    assert resize_planes(planes, (7, 5), cv2.INTER_LINEAR) is planes


@pytest.mark.parametrize("interpolation", [*FILTERS, cv2.INTER_AREA])
def test_weights_of_a_pixel_sum_to_one(interpolation: int) -> None:
    indices, weights = axis_taps(100, 33, interpolation)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-6)
    assert indices.min() >= 0
    assert indices.max() <= 99


def test_enlargement_by_area_and_other_filters_are_refused() -> None:
    with pytest.raises(ValueError, match="only reduces"):
        axis_taps(10, 20, cv2.INTER_AREA)
    with pytest.raises(ValueError, match="not supported"):
        axis_taps(10, 20, cv2.INTER_NEAREST)
