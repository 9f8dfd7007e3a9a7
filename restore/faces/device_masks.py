"""Masks of faces on a device; see `restore.faces.masks`."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.faces.align import CROP_PX
from restore.faces.area import MARGIN_PX, face_bounds
from restore.faces.masks import (
    BLUR_KERNEL_PX,
    BLUR_SIGMA_PX,
    BORDER_PX,
    EXCLUDED_CLASSES,
    NUM_CLASSES,
    geometric_mask,
)
from restore.runtime.filters import dilate, gaussian_blur
from restore.runtime.transfers import upload
from restore.runtime.warping import warp_planes


def parse_masks_on_device(logits: Tensor) -> Tensor:
    """Convert the parser's Nx19x512x512 logits to soft masks, as the official helpers do.

    Returns:
        Nx1x512x512 float32, 0 to 1, 0 within ten pixels of the edge.
    """
    weights = torch.ones(NUM_CLASSES, device=logits.device)
    weights[list(EXCLUDED_CLASSES)] = 0.0
    masks = weights[logits.argmax(dim=1, keepdim=True)]
    for _ in range(2):
        masks = gaussian_blur(masks, BLUR_KERNEL_PX, BLUR_SIGMA_PX)
    inner = slice(BORDER_PX, CROP_PX - BORDER_PX)
    cleared = torch.zeros_like(masks)
    cleared[..., inner, inner] = masks[..., inner, inner]
    return cleared


@functools.lru_cache(maxsize=4)
def geometric_mask_on_device(device: torch.device) -> Tensor:
    """Return the soft mask of the template's face: 1x1x512x512 float32, never changed in place."""
    return upload(geometric_mask(), device)[None, None]


def mark_face_on_device(area: Tensor, mask: Tensor, to_photo: np.ndarray) -> None:
    """Mark where a pasted face has a weight above 0, in place; see `mark_face`.

    Args:
        area: 1x1xHxW bool of the photo's size.
        mask: 1x1xSxS float32, the weight of the face in its crop.
        to_photo: 2x3 transform from the crop to the photo.
    """
    left, top, right, bottom = face_bounds(mask.shape[3], to_photo, area.shape[2:])
    if right <= left or bottom <= top:
        return
    to_crop = cv2.invertAffineTransform(to_photo)
    to_crop[:, 2] += to_crop[:, :2] @ np.array((left, top))
    covered = (mask > 0).float()
    size = (right - left, bottom - top)
    warped = dilate(warp_planes(covered, to_crop, size, nearest=True), 2 * MARGIN_PX + 1)
    area[:, :, top:bottom, left:right] |= warped > 0
