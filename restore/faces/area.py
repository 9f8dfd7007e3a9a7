"""The part of a photo that pasted faces cover."""

from __future__ import annotations

import cv2
import numpy as np

MARGIN_PX = 2
"""Pixels around a face that resampling may change too."""


def face_bounds(
    side_px: int, to_photo: np.ndarray, size: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Return the part of a photo that a crop can cover, with a margin.

    Args:
        side_px: side of the crop.
        to_photo: 2x3 transform from the crop to the photo.
        size: height and width of the photo.

    Returns:
        (left, top, right, bottom) in pixels within the photo; empty if right <= left or
        bottom <= top.
    """
    corners = np.array([(x, y, 1.0) for x in (0, side_px) for y in (0, side_px)]) @ to_photo.T
    low = np.maximum(corners.min(axis=0) - MARGIN_PX, 0)
    high = np.minimum(corners.max(axis=0) + MARGIN_PX + 1, size[1::-1])
    (left, top), (right, bottom) = np.floor(low).astype(int), np.ceil(high).astype(int)
    return int(left), int(top), int(right), int(bottom)


def mark_face(area: np.ndarray, mask: np.ndarray, to_photo: np.ndarray) -> None:
    """Mark where a pasted face has a weight above 0, in place.

    Args:
        area: HxW bool of the photo's size.
        mask: SxS float32, the weight of the face in its crop.
        to_photo: 2x3 transform from the crop to the photo.
    """
    left, top, right, bottom = face_bounds(mask.shape[0], to_photo, area.shape)
    if right <= left or bottom <= top:
        return
    shifted = to_photo.copy()
    shifted[:, 2] -= (left, top)
    covered = (mask > 0).astype(np.uint8)
    warped = cv2.warpAffine(covered, shifted, (right - left, bottom - top), flags=cv2.INTER_NEAREST)
    kernel = np.ones((2 * MARGIN_PX + 1,) * 2, np.uint8)
    area[top:bottom, left:right] |= cv2.dilate(warped, kernel) > 0
