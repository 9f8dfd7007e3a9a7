"""Faces in photos that are rotated by 90, 180 or 270 degrees.

Rotations are counted in quarter turns clockwise, by which the photo has to be turned for a face to
be upright.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from restore.faces.face import Face

QUARTERS = 4
QUARTER_DEG = 90


def turn(pixels: np.ndarray, quarters: int) -> np.ndarray:
    """Return HxW[xC] pixels turned clockwise, contiguous in memory."""
    return np.ascontiguousarray(np.rot90(pixels, -quarters))


def turn_face_back(face: Face, quarters: int, width: int, height: int) -> Face:
    """Return a face that was found in a turned photo in pixels of the photo as it is.

    Args:
        face: in pixels of the turned photo.
        quarters: how often the photo was turned clockwise.
        width: width of the photo as it is.
        height: height of the photo as it is.
    """
    if quarters % QUARTERS == 0:
        return face

    def back(points: np.ndarray) -> np.ndarray:
        return _turn_points_back(points, quarters % QUARTERS, width, height)

    corners = back(np.array(face.box, np.float64).reshape(2, 2))
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    # Landmarks are positions of pixel centres; the box consists of pixel edges.
    outline = None if face.outline is None else back(face.outline + 0.5) - 0.5
    return replace(
        face,
        box=(float(left), float(top), float(right), float(bottom)),
        landmarks=back(face.landmarks + 0.5) - 0.5,
        outline=outline,
    )


def quarters_of(matrix: np.ndarray) -> int:
    """Return the quarter turns, 0 to 3, that make a face upright, given its 2x3 transform."""
    angle_deg = float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    return round(angle_deg / QUARTER_DEG) % QUARTERS


def _turn_points_back(points: np.ndarray, quarters: int, width: int, height: int) -> np.ndarray:
    x, y = points[:, 0], points[:, 1]
    turned = {1: (y, height - x), 2: (width - x, height - y), 3: (width - y, x)}[quarters]
    return np.stack(turned, axis=1)
