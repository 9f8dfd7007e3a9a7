"""From landmarks to an upright face of 512x512: the similarity onto the FFHQ template, and the crop by it.

Template, method and border colour are those of facexlib and CodeFormer, so that the networks see what they were trained on.
"""

from __future__ import annotations

import cv2
import numpy as np

from restore.faces.face import Array, Face

CROP_PX = 512

TEMPLATE: Array = np.array(
    [
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    ]
)
"""Where the five landmarks lie in a crop, in the order of `Face.landmarks`: the mean face of FFHQ (facexlib, 512 px)."""
TEMPLATE.flags.writeable = False

BORDER_RGB = (132, 133, 135)
"""What a crop shows beyond the photo, the same grey as the official helpers."""

_MIN_SPREAD = 0.01  # of the landmarks' length; a face in strict profile has about 0.2
_SCALES = (1e-3, 1e3)  # a face of half a million pixels, and one of half a pixel


def similarity(landmarks: Array) -> Array | None:
    """Estimate the rotation, scale and shift that take a photo's pixels to the crop's, by least median of squares.

    Args:
        landmarks: 5x2, in photo pixels.

    Returns:
        2x3 float64, or None where the landmarks are no face: not finite, all on one spot or one line.
    """
    points = np.asarray(landmarks, np.float64)
    if not np.isfinite(points).all():
        return None
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if spread[1] <= _MIN_SPREAD * spread[0]:  # also where both are 0
        return None
    matrix, _ = cv2.estimateAffinePartial2D(points, TEMPLATE, method=cv2.LMEDS)
    if matrix is None or not np.isfinite(matrix).all():
        return None
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    return np.asarray(matrix, np.float64) if _SCALES[0] <= scale <= _SCALES[1] else None


def crop(pixels: Array, matrix: Array) -> Array:
    """Cut a face out of a photo, upright and 512x512, bilinear, grey where the photo ends.

    Args:
        pixels: HxWx3 RGB, uint8, uint16 or float32 in levels 0 to 255.
        matrix: 2x3, photo to crop, as from `similarity`.

    Returns:
        512x512x3: uint8 for uint8, else float32 in levels 0 to 255. For uint8 the official helpers' very pixels.
    """
    if pixels.dtype == np.uint8:
        return _warped(pixels, matrix)
    # Only the part that the crop sees, so that no float copy of a whole photo is made.
    x0, y0, x1, y1 = _seen(matrix, pixels.shape[1], pixels.shape[0])
    part = pixels[y0:y1, x0:x1]
    if part.size == 0:
        return np.full((CROP_PX, CROP_PX, 3), BORDER_RGB, np.float32)
    if part.dtype == np.uint16:
        part = part.astype(np.float32) * np.float32(255 / 65535)
    shifted = np.array(matrix, np.float64)
    shifted[:, 2] += shifted[:, :2] @ (x0, y0)
    return _warped(part, shifted)


def smooth_crop(pixels: Array, matrix: Array) -> Array:
    """As `crop`, for networks that are ours to feed: a face larger than the crop is averaged down to it, not sampled.

    Sampled, the noise of a large photo would come through in full, as if it were the face's own.
    """
    factor = int(1.0 / max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-6))
    if factor < 2:
        return crop(pixels, matrix)
    x0, y0, x1, y1 = _seen(matrix, pixels.shape[1], pixels.shape[0])
    if x1 - x0 < factor or y1 - y0 < factor:
        return crop(pixels, matrix)
    columns, rows = (x1 - x0) // factor, (y1 - y0) // factor
    part = cv2.resize(
        pixels[y0 : y0 + rows * factor, x0 : x0 + columns * factor],
        (columns, rows),
        interpolation=cv2.INTER_AREA,
    )
    # Pixel x of the part is the mean of pixels x0 + factor * x to x0 + factor * x + factor - 1 of the photo.
    reduced = np.array(matrix, np.float64)
    reduced[:, 2] += reduced[:, :2] @ (x0 + (factor - 1) / 2, y0 + (factor - 1) / 2)
    reduced[:, :2] *= factor
    return crop(part, reduced)


def is_outside(matrix: Array, width: int, height: int) -> bool:
    """Whether a crop shows nothing of a photo of this size."""
    x0, y0, x1, y1 = _seen(matrix, width, height)
    return x0 >= x1 or y0 >= y1


def eye_distance_px(face: Face) -> float:
    """Return the distance between the eyes in pixels of the photo."""
    left, right = face.landmarks[:2]
    return float(np.hypot(*(left - right)))


def _warped(pixels: Array, matrix: Array) -> Array:
    size = (CROP_PX, CROP_PX)
    return cv2.warpAffine(
        pixels,
        matrix,
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=BORDER_RGB,
    )


def _seen(matrix: Array, width: int, height: int) -> tuple[int, int, int, int]:
    """Return the box (x0, y0, x1, y1) of the photo's pixels that a crop reads."""
    inverse = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    corners = np.array([(x, y, 1) for x in (0, CROP_PX) for y in (0, CROP_PX)]) @ inverse.T
    low, high = np.floor(corners.min(axis=0)) - 2, np.ceil(corners.max(axis=0)) + 3
    (x0, x1), (y0, y1) = (
        (np.clip((low[i], high[i]), 0, side)).astype(int) for i, side in enumerate((width, height))
    )
    return int(x0), int(y0), int(x1), int(y1)
