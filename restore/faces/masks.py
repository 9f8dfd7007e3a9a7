"""Masks of a face in its 512x512 crop: from the parser's labels, or from geometry where no parser runs."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from torch import Tensor

from restore.faces.align import CROP_PX
from restore.faces.face import Array

PARTS = 19
"""Classes of the parser (CelebAMask-HQ)."""

_OUTSIDE = (
    0,
    14,
    16,
    17,
    18,
)  # background, earring, neck, cloth, hat: what a face network was not made for
_BLUR_PX, _SIGMA_PX = 101, 11.0
_RIM_PX = 10  # always 0, so that no crop's edge shows

# A superellipse around the template's face: from the forehead to the chin, from cheek to cheek.
_CENTRE_XY = (256.0, 285.0)
_RADII_XY = (165.0, 195.0)
_EXPONENT = 2.5
_FULL_UNTIL, _GONE_AT = 0.75, 1.08  # of the radius


def labels_of(logits: Tensor) -> Array:
    """Return the parser's decision: Nx19x512x512 logits to Nx512x512 uint8 class numbers on the host."""
    labels: Array = logits.argmax(dim=1).byte().cpu().numpy()
    return labels


def parse_mask(labels: Array) -> Array:
    """Turn class numbers into a soft mask, by the official helpers' recipe.

    512x512 integers 0 to 18 -> 512x512 float32, 0 to 1, 0 within ten pixels of the edge.
    """
    levels = np.full(PARTS, 255.0, np.float32)
    levels[list(_OUTSIDE)] = 0.0
    mask = levels[labels]
    for _ in range(2):
        mask = cv2.GaussianBlur(mask, (_BLUR_PX, _BLUR_PX), _SIGMA_PX)
    return _without_rim(mask / np.float32(255))


@functools.cache
def geometric_mask() -> Array:
    """Return a soft mask of where the template has its face: 512x512 float32, 0 to 1, 0 within ten pixels of the edge; read-only."""
    at = np.arange(CROP_PX, dtype=np.float64)
    across, down = (
        np.abs((at - centre) / radius) ** _EXPONENT
        for centre, radius in zip(_CENTRE_XY, _RADII_XY, strict=True)
    )
    distance = (across[None, :] + down[:, None]) ** (1 / _EXPONENT)
    fall = np.clip((_GONE_AT - distance) / (_GONE_AT - _FULL_UNTIL), 0.0, 1.0)
    mask = _without_rim((fall * fall * (3.0 - 2.0 * fall)).astype(np.float32))
    mask.flags.writeable = False
    return mask


def _without_rim(mask: Array) -> Array:
    inner = slice(_RIM_PX, CROP_PX - _RIM_PX)
    kept = np.zeros_like(mask)
    kept[inner, inner] = mask[inner, inner]
    return kept
