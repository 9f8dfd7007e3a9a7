"""Alignment and pasting of faces as in Bringing Old Photos Back to Life (stages 2 and 4).

The warps are those of scikit-image, which the official code uses, but limited to the region of each
face.
"""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
from skimage import transform

from restore.faces.face import Face

skimage_transform = cast(Any, transform)  # its functions have no types

TEMPLATE = (
    np.array([(196.0, 226.0), (316.0, 226.0), (256.0, 286.0), (220.0, 360.4), (292.0, 360.4)])
    / 256.0
    - 1.0
)
"""Landmarks of an aligned face from -1 to 1: eyes, nose, corners of the mouth."""

TEMPLATE_SCALE = 1.3
"""Enlargement of the template: an aligned face shows that much more than in the template."""

MASK_EROSION_PX, MASK_EROSIONS, MASK_BLUR_PX = 9, 3, 25
PASTE_MARGIN_PX = MASK_BLUR_PX // 2 + 2
SAMPLE_MARGIN_PX = 2
"""Pixels around a face that bilinear sampling may read."""

MIN_FACE_SIDE_PX = 1.0
"""Side in the photo below which an aligned face is refused, because its transform is degenerate."""

Region = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are not part of it."""


def five_landmarks(face: Face) -> np.ndarray:
    """Return the 5x2 landmarks used for alignment.

    If dlib gave 68 points, the eyes are the middle of their corners, and all coordinates are
    truncated to whole pixels, as officially.
    """
    if face.outline is None:
        return face.landmarks
    points = face.outline
    left_eye, right_eye = (points[36] + points[39]) / 2, (points[42] + points[45]) / 2
    five = np.stack([left_eye, right_eye, points[30], points[48], points[54]])
    return np.asarray(np.floor(five), np.float64)


def face_to_photo(landmarks: np.ndarray, side_px: int) -> np.ndarray | None:
    """Estimate the 2x3 transform from an aligned face to the photo.

    It is the similarity with the least squared error (Umeyama, TPAMI 1991).

    Args:
        landmarks: 5x2, in pixels of the photo.
        side_px: side of the aligned face.

    Returns:
        The transform, or None if the landmarks are not finite or all in one place.
    """
    if not np.isfinite(landmarks).all():
        return None
    target = (TEMPLATE * TEMPLATE_SCALE + 1.0) / 2.0 * side_px
    ones, zeros = np.ones(len(target)), np.zeros(len(target))
    equations = np.concatenate(
        [
            np.stack([target[:, 0], -target[:, 1], ones, zeros], 1),
            np.stack([target[:, 1], target[:, 0], zeros, ones], 1),
        ]
    )
    right_side = np.concatenate([landmarks[:, 0], landmarks[:, 1]])
    (a, b, x, y), *_ = np.linalg.lstsq(equations, right_side, rcond=None)
    if side_px * np.hypot(a, b) < MIN_FACE_SIDE_PX:
        return None
    return np.array([[a, -b, x], [b, a, y]])


def cut_face(pixels: np.ndarray, matrix: np.ndarray, side_px: int) -> np.ndarray:
    """Cut an aligned face out of HxWx3 uint8.

    Args:
        pixels: the photo.
        matrix: 2x3, from the aligned face to the photo.
        side_px: side of the aligned face.

    Returns:
        side_px x side_px x 3 float64 levels, bilinear, black outside of the photo.
    """
    region = face_region(matrix, side_px, pixels, SAMPLE_MARGIN_PX)
    if region is None:
        return np.zeros((side_px, side_px, 3))
    left, top, right, bottom = region
    offset = np.array([[0.0, 0.0, left], [0.0, 0.0, top], [0.0, 0.0, 0.0]])
    # Only the region is converted to float64.
    face = skimage_transform.warp(
        pixels[top:bottom, left:right],
        skimage_transform.AffineTransform(to_3x3(matrix) - offset),
        output_shape=(side_px, side_px),
        order=1,
        preserve_range=True,
    )
    return cast(np.ndarray, face)


def paste_face(canvas: np.ndarray, face: np.ndarray, matrix: np.ndarray) -> None:
    """Paste a restored face, bicubic and with a soft edge, in place.

    Args:
        canvas: HxWx3 float64 levels of the photo; changed.
        face: SxSx3 uint8.
        matrix: 2x3, from the aligned face to the photo.
    """
    side_px = face.shape[0]
    region = face_region(matrix, side_px, canvas, PASTE_MARGIN_PX)
    if region is None:
        return
    left, top, right, bottom = region
    offset = np.array([[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]])
    warp_options = {
        "inverse_map": skimage_transform.AffineTransform(np.linalg.inv(to_3x3(matrix)) @ offset),
        "output_shape": (bottom - top, right - left),
        "preserve_range": True,
    }
    layer = skimage_transform.warp(face, order=3, **warp_options)
    ones = np.ones((side_px, side_px), np.float32)
    mask = skimage_transform.warp(ones, order=0, **warp_options).astype(np.float32)
    kernel = np.ones((MASK_EROSION_PX, MASK_EROSION_PX), np.uint8)
    mask = cv2.erode(mask, kernel, iterations=MASK_EROSIONS)
    mask = cv2.GaussianBlur(mask, (MASK_BLUR_PX, MASK_BLUR_PX), 0)
    weight = mask[..., None].astype(np.float64)
    target = canvas[top:bottom, left:right]
    target[...] = np.clip(layer * weight + (1.0 - weight) * target, 0.0, 255.0)


def match_histogram(source: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Give an HxWx3 uint8 image the distribution of levels of a reference, channel by channel."""
    channels = []
    for channel in range(3):
        source_share, reference_share = (
            np.cumsum(np.bincount(image[..., channel].ravel(), minlength=256))
            / image[..., channel].size
            for image in (source, reference)
        )
        levels = np.searchsorted(reference_share, source_share, side="left")
        table = np.minimum(levels, 255).astype(np.uint8)
        channels.append(table[source[..., channel]])
    return np.stack(channels, axis=-1)


def face_region(
    matrix: np.ndarray, side_px: int, pixels: np.ndarray, margin_px: int
) -> Region | None:
    """Return the region of an aligned face in the photo with a margin; None if it is outside."""
    size = np.array((pixels.shape[1], pixels.shape[0]))
    corners = np.array([(x, y, 1.0) for x in (0, side_px) for y in (0, side_px)]) @ matrix.T
    first, last = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    if (last <= 0).any() or (first >= size).any():
        return None
    left, top = (int(edge) for edge in np.maximum(first - margin_px, 0))
    right, bottom = (int(edge) for edge in np.minimum(last + margin_px, size))
    return left, top, right, bottom


def to_3x3(matrix: np.ndarray) -> np.ndarray:
    """Complete a 2x3 affine matrix to 3x3."""
    return np.vstack([matrix, (0.0, 0.0, 1.0)])
