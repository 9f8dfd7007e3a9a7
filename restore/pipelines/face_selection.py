"""Which detected faces of a photo the options `faces` and `face_points` select."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from restore.errors import Code, RestoreError
from restore.faces.points import Box, FacePoints
from restore.imaging.photo import Photo
from restore.options import Request, parse_face_points, parse_faces
from restore.pipelines.context import StepContext

NOT_CONTAINED = "no point of face_points lies in its box"
NOT_NUMBERED = "its number is not one of those in faces"
NOT_LARGEST = "another face is larger, and only the largest is restored"
NOT_CENTRAL = "another face is nearer to the centre, and only that one is restored"
NONE_SELECTED = "none of them is selected"
_NOT_SELECTED = {NOT_CONTAINED, NOT_NUMBERED}
MAX_SHOWN = 5
"""Points or numbers in one message."""


def face_points_of(request: Request, photo: Photo) -> FacePoints | None:
    """Return the points that select faces of a photo; None if all faces are selected.

    Raises:
        RestoreError: OPTION_INVALID for a point outside of the photo.
    """
    points = parse_face_points(request.options["face_restore"].face_points or "")
    if not points:
        return None
    face_points = FacePoints(points, photo.width, photo.height)
    if outside := face_points.outside():
        plural = "s" if len(outside) > 1 else ""
        raise RestoreError(
            Code.OPTION_INVALID,
            f"the point{plural} {_list(outside)} of face_points lie{'' if plural else 's'} outside "
            f"of the photo, which is {photo.width}x{photo.height}",
            f"Give x from 0 to {photo.width} and y from 0 to {photo.height}, in pixels of the "
            "upright photo.",
            photo=photo.name,
        )
    return face_points


def number_faces(boxes: Sequence[Box]) -> list[int]:
    """Return the number of each face: they are counted from left to right, from 0."""
    centers = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in boxes]
    order = sorted(range(len(boxes)), key=lambda index: centers[index])
    numbers = [0] * len(boxes)
    for number, index in enumerate(order):
        numbers[index] = number
    return numbers


def reasons_not_selected(
    boxes: Sequence[Box], size: tuple[int, int], faces: str, context: StepContext
) -> list[str]:
    """Return for each detected face why it is not selected, or an empty string.

    The report gets a warning about points that lie in no face, and about missing numbers.

    Args:
        boxes: the boxes of the faces, in pixels of the photo of this step.
        size: (width, height) of this photo.
        faces: the option `faces`; `keep_one_face` applies its words.
        context: the step's context.
    """
    wanted = parse_faces(faces).numbers
    if wanted is not None:
        numbers = number_faces(boxes)
        missing = sorted(wanted.difference(numbers))
        if missing and boxes:  # without any face, there is another warning
            _warn_of_missing(missing, faces, len(boxes), context)
        return ["" if number in wanted else NOT_NUMBERED for number in numbers]
    face_points = context.face_points
    if face_points is None:
        return [""] * len(boxes)
    contained = face_points.contained(boxes, *size)
    unused = [
        point
        for point, column in zip(face_points.points, contained.T, strict=True)
        if not column.any()
    ]
    if unused:
        plural = "s" if len(unused) > 1 else ""
        context.report.warn(f"no face contains the point{plural} {_list(unused)} of face_points")
    return ["" if row.any() else NOT_CONTAINED for row in contained]


def keep_one_face(
    boxes: Sequence[Box],
    size: tuple[int, int],
    reasons: list[str],
    faces: str,
    *,
    only_center_face: bool = False,
) -> None:
    """Give every face without a reason one, except the largest or the central face.

    It does nothing if the options choose neither.

    Args:
        boxes: the boxes of the faces, in pixels of the photo.
        size: (width, height) of the photo.
        reasons: why each face is not restored, or an empty string.
        faces: the option `faces`.
        only_center_face: the option of this name.
    """
    one_of = "center" if only_center_face else parse_faces(faces).one_of
    candidates = [index for index, reason in enumerate(reasons) if not reason]
    if not one_of or not candidates:
        return
    center = np.array(size) / 2

    def distance(index: int) -> float:
        left, top, right, bottom = boxes[index]
        return float(np.linalg.norm(((left + right) / 2, (top + bottom) / 2) - center))

    def smallness(index: int) -> float:
        left, top, right, bottom = boxes[index]
        return -min(right - left, bottom - top)

    rank: Callable[[int], float] = distance if one_of == "center" else smallness
    kept = min(candidates, key=rank)
    for index in candidates:
        if index != kept:
            reasons[index] = NOT_CENTRAL if one_of == "center" else NOT_LARGEST


def main_reason(reasons: Sequence[str]) -> str:
    """Return why no face was restored: the reason of the first face that is selected."""
    return next((reason for reason in reasons if reason not in _NOT_SELECTED), NONE_SELECTED)


def warn_of_refused_faces(
    numbers: Sequence[int], reasons: Sequence[str], faces: str, context: StepContext
) -> None:
    """Warn of the faces that are selected by point or number and that are not restored.

    Args:
        numbers: the number of each detected face, as from `number_faces`.
        reasons: why each detected face is not restored, or an empty string.
        faces: the option `faces`.
        context: the step's context.
    """
    by_number = parse_faces(faces).numbers is not None
    if context.face_points is None and not by_number:
        return
    option = "faces" if by_number else "face_points"
    for number, reason in zip(numbers, reasons, strict=True):
        if reason and reason not in _NOT_SELECTED | {NOT_CENTRAL, NOT_LARGEST}:
            context.report.warn(
                f"the face with the number {number}, which {option} selects, was not restored: "
                f"{reason}"
            )


def _warn_of_missing(missing: Sequence[int], faces: str, count: int, context: StepContext) -> None:
    shown = ", ".join(str(number) for number in missing[:MAX_SHOWN])
    more = f" and {len(missing) - MAX_SHOWN} more" if len(missing) > MAX_SHOWN else ""
    plural = "s" if len(missing) > 1 else ""
    found = f"its {count} faces have the numbers 0 to {count - 1}"
    if count == 1:
        found = "its only face has the number 0"
    context.report.warn(
        f"faces is '{faces}', but the photo has no face with the number{plural} {shown}{more}: "
        f"{found}"
    )


def _list(points: Sequence[tuple[float, float]]) -> str:
    shown = ", ".join(f"[{x:g}, {y:g}]" for x, y in points[:MAX_SHOWN])
    more = len(points) - MAX_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
