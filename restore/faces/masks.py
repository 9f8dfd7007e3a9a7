"""Masks of a face in its 512x512 crop: from the face parser, or a fixed shape without it."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from torch import Tensor

from restore.faces.align import CROP_PX

NUM_CLASSES = 19
"""Classes of the face parser (CelebAMask-HQ)."""

EXCLUDED_CLASSES = (0, 14, 16, 17, 18)  # background, earring, neck, cloth, hat
BLUR_KERNEL_PX, BLUR_SIGMA_PX = 101, 11.0
BORDER_PX = 10  # always 0, so that the edge of a crop is never visible

# A superellipse around the face of the template: from forehead to chin, from cheek to cheek.
_CENTRE_XY = (256.0, 285.0)
_RADII_XY = (165.0, 195.0)
_EXPONENT = 2.5
_INNER_RADIUS, _OUTER_RADIUS = 0.75, 1.08  # where the mask starts to fall, and reaches 0


def class_labels(logits: Tensor) -> np.ndarray:
    """Convert the parser's Nx19x512x512 logits to Nx512x512 uint8 class numbers on the host."""
    labels: np.ndarray = logits.argmax(dim=1).byte().cpu().numpy()
    return labels


def parse_mask(labels: np.ndarray) -> np.ndarray:
    """Convert class numbers to a soft mask, as the official helpers do.

    Args:
        labels: 512x512 integers, 0 to 18.

    Returns:
        512x512 float32, 0 to 1, 0 within ten pixels of the edge.
    """
    levels = np.full(NUM_CLASSES, 255.0, np.float32)
    levels[list(EXCLUDED_CLASSES)] = 0.0
    mask = levels[labels]
    for _ in range(2):
        mask = cv2.GaussianBlur(mask, (BLUR_KERNEL_PX, BLUR_KERNEL_PX), BLUR_SIGMA_PX)
    return _clear_border(mask / np.float32(255))


@functools.cache
def geometric_mask() -> np.ndarray:
    """Return a soft mask of the template's face.

    Returns:
        512x512 float32, 0 to 1, 0 within ten pixels of the edge; read-only.
    """
    position = np.arange(CROP_PX, dtype=np.float64)
    x, y = (
        np.abs((position - centre) / radius) ** _EXPONENT
        for centre, radius in zip(_CENTRE_XY, _RADII_XY, strict=True)
    )
    distance = (x[None, :] + y[:, None]) ** (1 / _EXPONENT)
    ramp = np.clip((_OUTER_RADIUS - distance) / (_OUTER_RADIUS - _INNER_RADIUS), 0.0, 1.0)
    mask = _clear_border((ramp * ramp * (3.0 - 2.0 * ramp)).astype(np.float32))
    mask.flags.writeable = False
    return mask


def _clear_border(mask: np.ndarray) -> np.ndarray:
    inner = slice(BORDER_PX, CROP_PX - BORDER_PX)
    cleared = np.zeros_like(mask)
    cleared[inner, inner] = mask[inner, inner]
    return cleared
