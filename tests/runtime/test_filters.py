"""Blur, erosion and dilation on a device equal OpenCV's."""

import cv2
import numpy as np
import pytest
import torch

from restore.runtime.filters import dilate, erode, gaussian_blur, mirror

RNG = np.random.default_rng(0)
PIXELS = RNG.random((41, 33), np.float32)


def planes(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels)[None, None]


@pytest.mark.parametrize(("side_px", "sigma_px"), [(1, 0.0), (3, 0.5), (13, 0.0), (101, 11.0)])
def test_blur_equals_opencv(side_px: int, sigma_px: float) -> None:
    expected = cv2.GaussianBlur(PIXELS, (side_px, side_px), sigma_px)
    blurred = gaussian_blur(planes(PIXELS), side_px, sigma_px)[0, 0].numpy()
    np.testing.assert_allclose(blurred, expected, atol=1e-5)


@pytest.mark.parametrize("side_px", [1, 2, 3, 8, 60])
def test_erosion_and_dilation_equal_opencv(side_px: int) -> None:
    kernel = np.ones((side_px, side_px), np.uint8)
    np.testing.assert_array_equal(
        erode(planes(PIXELS), side_px)[0, 0].numpy(), cv2.erode(PIXELS, kernel)
    )
    np.testing.assert_array_equal(
        dilate(planes(PIXELS), side_px)[0, 0].numpy(), cv2.dilate(PIXELS, kernel)
    )


def test_mirror_pads_by_more_pixels_than_there_are() -> None:
    small = PIXELS[:3, :4]
    expected = np.pad(small, ((1, 9), (0, 11)), mode="reflect")
    np.testing.assert_array_equal(mirror(planes(small), (1, 9), (0, 11))[0, 0].numpy(), expected)
