"""Find the faces of a photo, which may be rotated by 90, 180 or 270 degrees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restore.faces.detect import Detector
from restore.faces.face import Face
from restore.faces.fit import CheckedFace, check_face
from restore.faces.limits import limits_of
from restore.faces.pictures import Picture, find_in, resize_picture, size_of, turn_picture
from restore.faces.rotation import QUARTERS, turn_face_back

TURNED_SHORT_SIDE_PX = 320
"""Short side at which networks search turned photos: a quarter of the work at 640."""

TURNED_LONG_SIDE_PX = 1600
"""Photos are reduced to this long side before they are turned."""

MIN_APART = 0.5
"""Faces that are nearer to each other, in distances between their eyes, are one face."""


def find_faces(
    detector: Detector,
    pixels: Picture,
    *,
    short_side_px: int | None,
    threshold: float,
    checks: bool = True,
) -> list[CheckedFace]:
    """Find the faces of a photo and check that they fit.

    If there is no face that fits, the photo is searched turned by 90, 180 and 270 degrees.

    Args:
        detector: the detector.
        pixels: the photo, on the host or on the device of the detector; grey as three equal
            channels.
        short_side_px: the photo is resized to this short side first; None for its own size.
        threshold: the detector drops faces with a lower score, as in `Detector.find`. Those below
            its limit in `faces.limits` are dropped, too.
        checks: without, everything that the detector finds fits.

    Returns:
        Faces in the photo's own pixels, the highest score first. Those with a reason do not fit.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    if not checks:
        faces = find_in(detector, pixels, short_side_px=short_side_px, threshold=threshold)
        return [CheckedFace(face, "") for face in faces if _is_finite(face)]
    limits = limits_of(detector.name)

    def find(turned: Picture, size_px: int | None, *, always: bool) -> list[CheckedFace]:
        faces = find_in(detector, turned, short_side_px=size_px, threshold=threshold)
        checked = [
            check_face(face, turned, detector, always=always)
            for face in faces
            if _is_finite(face) and face.score >= limits.min_score
        ]
        return _without_duplicates(checked)

    upright = find(pixels, short_side_px, always=False)
    if _any_fits(upright):
        return upright
    reduced = _reduce(pixels)
    scores = [0.0] * QUARTERS
    for quarters in range(1, QUARTERS):
        checked = find(turn_picture(reduced, quarters), TURNED_SHORT_SIDE_PX, always=True)
        scores[quarters] = max((each.face.score for each in checked if not each.reason), default=0)
    best = int(np.argmax(scores))
    if scores[best] < limits.min_turned_score:
        return upright
    width, height = size_of(pixels)
    found = find(turn_picture(pixels, best), short_side_px, always=True)
    if not _any_fits(found):
        return upright
    return [
        CheckedFace(turn_face_back(each.face, best, width, height), each.reason) for each in found
    ]


def _any_fits(faces: Sequence[CheckedFace]) -> bool:
    return any(not checked.reason for checked in faces)


def _is_finite(face: Face) -> bool:
    return bool(np.isfinite((*face.box, face.score)).all())


def _reduce(pixels: Picture) -> Picture:
    width, height = size_of(pixels)
    factor = TURNED_LONG_SIDE_PX / max(width, height)
    if factor >= 1.0:
        return pixels
    return resize_picture(pixels, (max(1, round(width * factor)), max(1, round(height * factor))))


def _without_duplicates(faces: Sequence[CheckedFace]) -> list[CheckedFace]:
    """Drop faces that the check moved to a face with a higher score."""
    kept: list[CheckedFace] = []
    for checked in faces:
        if not any(_is_same(checked.face, other.face) for other in kept if not other.reason):
            kept.append(checked)
    return kept


def _is_same(face: Face, other: Face) -> bool:
    distance_px = np.linalg.norm(face.landmarks.mean(axis=0) - other.landmarks.mean(axis=0))
    return bool(distance_px < MIN_APART * np.linalg.norm(other.landmarks[0] - other.landmarks[1]))
