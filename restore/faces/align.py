"""Face alignment: the similarity transform to the FFHQ template, and crops of 512x512.

Template, method and border colour are those of facexlib and CodeFormer, which the networks were
trained with.
"""

from __future__ import annotations

import cv2
import numpy as np

from restore.faces.face import Face

CROP_PX = 512

TEMPLATE: np.ndarray = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
"""Landmarks in a crop, in the order of `Face.landmarks`: the mean face of FFHQ (facexlib)."""
TEMPLATE.flags.writeable = False

BORDER_RGB = (132, 133, 135)
"""The colour of a crop outside the photo, as in the official helpers."""

_MIN_SPREAD = 0.01  # width of the landmarks over their length; about 0.2 for a strict profile
_MIN_SCALE, _MAX_SCALE = 1e-3, 1e3  # faces of half a million pixels, and of half a pixel


def estimate_similarity(landmarks: np.ndarray) -> np.ndarray | None:
    """Estimate rotation, scale and translation from photo to crop by least median of squares.

    Args:
        landmarks: 5x2, in photo pixels.

    Returns:
        2x3 float64, or None if the landmarks are not a face: not finite, or all on one point or
        line.
    """
    points = np.asarray(landmarks, np.float64)
    if not _has_area(points):
        return None
    matrix, _ = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)
    return None if matrix is None else _usable(np.asarray(matrix, np.float64))


def fit_similarity(landmarks: np.ndarray) -> np.ndarray | None:
    """Return the similarity from photo to crop with the least squared error.

    It is a continuous function of the landmarks. The least median of squares is not: it may choose
    other landmarks after a small change.

    Args:
        landmarks: 5x2, in photo pixels.

    Returns:
        As from `estimate_similarity`.
    """
    points = np.asarray(landmarks, np.float64)
    if not _has_area(points):
        return None
    # As complex numbers, a similarity is one factor and one offset.
    source, template = points @ (1.0, 1.0j), TEMPLATE @ (1.0, 1.0j)
    centred = source - source.mean()
    factor = np.vdot(centred, template - template.mean()) / np.vdot(centred, centred)
    offset = template.mean() - factor * source.mean()
    return _usable(
        np.array(
            [[factor.real, -factor.imag, offset.real], [factor.imag, factor.real, offset.imag]]
        )
    )


def _has_area(points: np.ndarray) -> bool:
    """Tell whether points are finite and not all on one point or line."""
    if not np.isfinite(points).all():
        return False
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(spread[1] > _MIN_SPREAD * spread[0])  # false if both are 0


def _usable(matrix: np.ndarray) -> np.ndarray | None:
    """Return a 2x3 similarity, or None if its scale is not that of a face."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    # False for a scale that is not finite.
    return matrix if _MIN_SCALE <= scale <= _MAX_SCALE and np.isfinite(matrix).all() else None


def crop(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Crop an upright face of 512x512 by bilinear interpolation.

    Args:
        pixels: HxWx3 RGB, uint8, uint16 or float32 in levels 0 to 255.
        matrix: 2x3, photo to crop, as from `estimate_similarity`.

    Returns:
        512x512x3. For uint8 the pixels equal those of the official helpers. For other types the
        result is float32 in levels 0 to 255.
    """
    if pixels.dtype == np.uint8:
        return _warp(pixels, matrix)
    # Only the visible part is converted, so that no float copy of a whole photo exists.
    x0, y0, x1, y1 = visible_box(matrix, pixels.shape[1], pixels.shape[0])
    part = pixels[y0:y1, x0:x1]
    if part.size == 0:
        return np.full((CROP_PX, CROP_PX, 3), BORDER_RGB, np.float32)
    if part.dtype == np.uint16:
        part = part.astype(np.float32) * np.float32(255 / 65535)
    shifted = np.array(matrix, np.float64)
    shifted[:, 2] += shifted[:, :2] @ (x0, y0)
    return _warp(part, shifted)


def smooth_crop(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Crop a face like `crop`, but reduce a face larger than the crop by averaging.

    Sampling would keep the full noise of a large photo, and the network would take it for detail.
    Use it only for networks that were trained with such crops.
    """
    factor = int(1.0 / max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-6))
    if factor < 2:
        return crop(pixels, matrix)
    x0, y0, x1, y1 = visible_box(matrix, pixels.shape[1], pixels.shape[0])
    if x1 - x0 < factor or y1 - y0 < factor:
        return crop(pixels, matrix)
    columns, rows = (x1 - x0) // factor, (y1 - y0) // factor
    part = pixels[y0 : y0 + rows * factor, x0 : x0 + columns * factor]
    reduced = cv2.resize(part, (columns, rows), interpolation=cv2.INTER_AREA)
    # Pixel x of the reduced part is the mean of the photo's pixels from x0 + factor * x to
    # x0 + factor * x + factor - 1.
    to_crop = np.array(matrix, np.float64)
    to_crop[:, 2] += to_crop[:, :2] @ (x0 + (factor - 1) / 2, y0 + (factor - 1) / 2)
    to_crop[:, :2] *= factor
    return crop(reduced, to_crop)


def is_outside(matrix: np.ndarray, width: int, height: int) -> bool:
    """Tell whether a crop shows no pixel of a photo of this size."""
    x0, y0, x1, y1 = visible_box(matrix, width, height)
    return x0 >= x1 or y0 >= y1


def eye_distance_px(face: Face) -> float:
    """Return the distance between the eyes in photo pixels."""
    return float(np.hypot(*(face.landmarks[0] - face.landmarks[1])))


def _warp(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return cv2.warpAffine(
        pixels,
        matrix,
        (CROP_PX, CROP_PX),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=BORDER_RGB,
    )


def visible_box(matrix: np.ndarray, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the box (x0, y0, x1, y1) of the photo's pixels that a crop reads."""
    inverse = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    corners = np.array([(x, y, 1) for x in (0, CROP_PX) for y in (0, CROP_PX)]) @ inverse.T
    low, high = np.floor(corners.min(axis=0)) - 2, np.ceil(corners.max(axis=0)) + 3
    (x0, x1), (y0, y1) = (
        (np.clip((low[i], high[i]), 0, side)).astype(int) for i, side in enumerate((width, height))
    )
    return int(x0), int(y0), int(x1), int(y1)
