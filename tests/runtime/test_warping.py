"""Affine warps on a device equal OpenCV's."""

import cv2
import numpy as np
import pytest
import torch

from restore.runtime.warping import warp_planes

RNG = np.random.default_rng(0)
PIXELS = cv2.GaussianBlur(RNG.integers(0, 256, (90, 120, 3)).astype(np.float32), (3, 3), 0)
TURN = np.array([[0.9, 0.3, -20.0], [-0.3, 0.9, 31.0]])


def warped(pixels: np.ndarray, to_source: np.ndarray, **options: object) -> np.ndarray:
    planes = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    result = warp_planes(planes, to_source, (100, 80), **options)  # type: ignore[arg-type]
    return result[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("border", [None, (132.0, 133.0, 135.0)])
def test_bilinear_warp_equals_opencv(border: tuple[float, ...] | None) -> None:
    expected = cv2.warpAffine(
        PIXELS,
        TURN,
        (100, 80),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=border or (0, 0, 0),
    )
    np.testing.assert_allclose(warped(PIXELS, TURN, border=border), expected, atol=0.05)


def test_nearest_warp_takes_whole_pixels() -> None:
    shift = np.array([[1.0, 0.0, 5.2], [0.0, 1.0, -3.4]])
    result = warped(PIXELS, shift, nearest=True)
    np.testing.assert_allclose(result[3:, :], PIXELS[0:77, 5:105], rtol=1e-6)
    assert (result[:3] == 0).all()
