"""Whether a photo is sharp and clean, so that an upscaler need not repair it; without a reference.

The statistics are of 8x8 blocks of the luminance and their discrete cosine transforms (as in JPEG).
The limits were measured on Set5 and Kodak, reduced four times and degraded in thirteen ways:
the network `lite_fidelity` gains on every photo that counts as clean.
"""

from __future__ import annotations

import cv2
import numpy as np

from restore.imaging.convert import to_8_bits, to_grey

BLOCK_PX = 8
MAX_SIDE_PX = 1024
"""Only the middle of larger photos is measured."""
MAX_ZERO_SHARE = 0.3
"""Share of the fine coefficients that are zero: JPEG and blur make them zero."""
MAX_NOISE_LEVELS = 2.0
"""Finest coefficients of the smoothest tenth of the blocks, in levels of 255."""
SHARPNESS_RANGE = (0.6, 0.9)
"""Fine over medium detail: blurred photos are below, aliased and noisy ones above."""
_DCT = np.array(
    [
        [np.cos((2 * x + 1) * u * np.pi / 16) * np.sqrt((1 if u == 0 else 2) / 8) for x in range(8)]
        for u in range(8)
    ]
)


def is_sharp_and_clean(pixels: np.ndarray) -> bool:
    """Return whether a photo has no visible noise, JPEG artefacts, blur or aliasing.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16.
    """
    middle = pixels[middle_of(pixels.shape[0], pixels.shape[1])]
    grey = to_grey(to_8_bits(np.ascontiguousarray(middle))).astype(np.float64)
    if min(grey.shape) < BLOCK_PX:
        return False
    zero_share, noise_levels = _block_statistics(grey)
    low, high = SHARPNESS_RANGE
    return (
        zero_share < MAX_ZERO_SHARE
        and noise_levels < MAX_NOISE_LEVELS
        and low < _sharpness(grey) < high
    )


def middle_of(height: int, width: int) -> tuple[slice, slice]:
    """Return rows and columns of the measured middle, of at most MAX_SIDE_PX.

    JPEG blocks stay where they are.
    """
    top, left = (max(0, side - MAX_SIDE_PX) // 2 // BLOCK_PX * BLOCK_PX for side in (height, width))
    return slice(top, top + MAX_SIDE_PX), slice(left, left + MAX_SIDE_PX)


def _block_statistics(grey: np.ndarray) -> tuple[float, float]:
    """Return the share of zeros in the fine coefficients, and the noise in levels of 255."""
    rows, columns = (side // BLOCK_PX for side in grey.shape)
    blocks = grey[: rows * BLOCK_PX, : columns * BLOCK_PX]
    blocks = blocks.reshape(rows, BLOCK_PX, columns, BLOCK_PX).swapaxes(1, 2)
    coefficients = (_DCT @ blocks @ _DCT.T).reshape(-1, BLOCK_PX, BLOCK_PX)
    zero_share = float(np.mean(np.abs(coefficients[:, 4:, 4:]) < 0.5))
    finest = np.sqrt(np.mean(coefficients[:, 5:, 5:] ** 2, axis=(1, 2)))
    return zero_share, float(np.percentile(finest, 10))


def _sharpness(grey: np.ndarray) -> float:
    """Return the standard deviation of fine detail over that of medium detail."""
    fine, medium, coarse = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (0.7, 1.4, 2.8))
    return float(np.std(grey - fine) / max(np.std(medium - coarse), 1e-6))
