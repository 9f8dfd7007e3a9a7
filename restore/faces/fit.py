"""Whether a detected face fits: it is found again in its aligned crop, upright and in its place.

A face whose landmarks are wrong is aligned wrongly, and a face network would then paint a second
face over it. That happens with faces that lie on a side or are upside down, and with patterns that
are no faces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np

from restore.faces.align import CROP_PX, TEMPLATE, estimate_similarity, fit_similarity
from restore.faces.detect import Detector
from restore.faces.face import Face
from restore.faces.limits import (
    MAX_AGAIN_ERROR_PX,
    MAX_SURE_MISFIT_PX,
    MAX_SURE_TILT_DEG,
    DetectorLimits,
    limits_of,
)
from restore.faces.pictures import Picture, crop_picture, find_in, resize_picture, turn_picture
from restore.faces.rotation import QUARTERS, turn_face_back

CHECK_PX = 256
"""Side of the aligned crop in which a face is searched again. Faces have 90 to 150 pixels there;
dlib needs 80."""

NOT_FOUND_AGAIN = "it was not found again in its aligned crop, so it may be no face"
NO_TRANSFORM = "its landmarks give no transform to the template"
MISPLACED = "its landmarks do not fit a face seen from the front, so it cannot be aligned"


@dataclass(frozen=True)
class CheckedFace:
    """A face, with better landmarks if the check found some.

    Attributes:
        face: the face, in pixels of the photo.
        reason: why it must not be restored; empty if it fits.
    """

    face: Face
    reason: str


@dataclass(frozen=True)
class _Again:
    """A face that was found again, in pixels of the 512x512 crop."""

    face: Face
    quarters: int
    error_px: float


def check_face(
    face: Face, pixels: Picture, detector: Detector, *, always: bool = False
) -> CheckedFace:
    """Check a face by a second detection in its aligned crop, unless it surely fits.

    If the face is found again, but in another place or turned, it is aligned by the new landmarks
    and checked again.

    Args:
        face: the face, in pixels of the photo.
        pixels: the photo, on the host or on the device of the detector.
        detector: the detector that found it.
        always: check a face that surely fits, too.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    limits = limits_of(detector.name)
    if not always and is_sure(face, limits):
        return CheckedFace(face, "")
    for _ in range(limits.max_rounds):
        matrix = estimate_similarity(face.landmarks)
        if matrix is None:
            return CheckedFace(face, NO_TRANSFORM)
        again = _find_again(crop_picture(pixels, matrix), detector, limits)
        if again is None:
            return CheckedFace(face, NOT_FOUND_AGAIN)
        if again.quarters == 0 and again.error_px <= MAX_AGAIN_ERROR_PX:
            return CheckedFace(face, "")
        face = _move_to_photo(face, again.face, matrix)
    return CheckedFace(face, MISPLACED)


def is_sure(face: Face, limits: DetectorLimits) -> bool:
    """Tell whether score and landmarks leave no doubt that a face is upright and fits."""
    matrix = estimate_similarity(face.landmarks)
    if face.score < limits.sure_score or matrix is None:
        return False
    tilt_deg = abs(float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))))
    return tilt_deg <= MAX_SURE_TILT_DEG and misfit_px(face) <= MAX_SURE_MISFIT_PX


def misfit_px(face: Face) -> float:
    """Return the RMS distance of the landmarks from the template after the best similarity.

    It is infinite if the landmarks are not a face.
    """
    matrix = fit_similarity(face.landmarks)
    if matrix is None:
        return math.inf
    errors = face.landmarks @ matrix[:, :2].T + matrix[:, 2] - TEMPLATE
    return float(np.sqrt((errors**2).sum(axis=1).mean()))


def _find_again(crop: Picture, detector: Detector, limits: DetectorLimits) -> _Again | None:
    """Return the face of a 512x512x3 crop; in doubt, the better of four rotations of the crop."""
    small = resize_picture(crop, (CHECK_PX, CHECK_PX))
    best = _find_turned(small, 0, detector, limits)
    fits = best is not None and best.error_px <= MAX_AGAIN_ERROR_PX
    if best is not None and fits and best.face.score >= limits.clear_again_score:
        return best
    for quarters in range(1, QUARTERS):
        turned = _find_turned(small, quarters, detector, limits)
        if turned is not None and (best is None or turned.face.score > best.face.score):
            best = turned
    return best


def _find_turned(
    small: Picture, quarters: int, detector: Detector, limits: DetectorLimits
) -> _Again | None:
    """Return the face nearest to its place in a small crop that is turned clockwise."""
    faces = find_in(
        detector,
        turn_picture(small, quarters),
        short_side_px=CHECK_PX,
        threshold=limits.min_again_score,
    )
    found = [
        _Again(in_crop, quarters, _distance_px(in_crop.landmarks, TEMPLATE))
        for in_crop in (
            _enlarge(turn_face_back(face, quarters, CHECK_PX, CHECK_PX)) for face in faces
        )
        if in_crop.score >= limits.min_again_score
    ]
    # Landmarks of turned faces are in other places, so their centres are compared.
    center = TEMPLATE.mean(axis=0)
    return min(
        found,
        key=lambda again: float(np.linalg.norm(again.face.landmarks.mean(axis=0) - center)),
        default=None,
    )


def _distance_px(points: np.ndarray, others: np.ndarray) -> float:
    return float(np.linalg.norm(points - others, axis=1).max())


def _enlarge(face: Face) -> Face:
    """Convert a face in the small crop to pixels of the 512x512 crop."""
    factor = CROP_PX / CHECK_PX
    scale = np.array([[factor, 0.0, (factor - 1) / 2], [0.0, factor, (factor - 1) / 2]])
    return _transform_landmarks(face, scale)


def _move_to_photo(face: Face, again: Face, matrix: np.ndarray) -> Face:
    """Return the face with the landmarks that were found in its crop, in pixels of the photo."""
    moved = _transform_landmarks(again, cv2.invertAffineTransform(matrix))
    return replace(face, landmarks=moved.landmarks, outline=moved.outline)


def _transform_landmarks(face: Face, matrix: np.ndarray) -> Face:
    def move(points: np.ndarray) -> np.ndarray:
        return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])

    outline = None if face.outline is None else move(face.outline)
    return replace(face, landmarks=move(face.landmarks), outline=outline)
