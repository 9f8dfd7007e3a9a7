"""Which detected faces of a photo the option `face_points` selects."""

from __future__ import annotations

from collections.abc import Sequence

from restore.errors import Code, RestoreError
from restore.faces.points import Box, FacePoints
from restore.imaging.photo import Photo
from restore.options import Request, parse_face_points
from restore.pipelines.context import StepContext

NOT_SELECTED = "no point of face_points lies in its box"
MAX_SHOWN_POINTS = 5


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


def reasons_not_selected(
    boxes: Sequence[Box], size: tuple[int, int], context: StepContext
) -> list[str]:
    """Return for each detected face why it is not selected, or an empty string.

    The report gets a warning about points that lie in no face.

    Args:
        boxes: the boxes of the faces, in pixels of the photo of this step.
        size: (width, height) of this photo.
        context: the step's context.
    """
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
    return ["" if row.any() else NOT_SELECTED for row in contained]


def main_reason(reasons: Sequence[str]) -> str:
    """Return why no face was restored: the reason of the first face that is selected, if any is."""
    return next((reason for reason in reasons if reason != NOT_SELECTED), reasons[0])


def warn_of_refused_faces(reasons: Sequence[str], context: StepContext) -> None:
    """Warn of the faces that `face_points` selects and that are not restored.

    Args:
        reasons: why each detected face is not restored, or an empty string.
        context: the step's context.
    """
    if context.face_points is None:
        return
    for reason in reasons:
        if reason not in {"", NOT_SELECTED}:
            context.report.warn(f"a face that face_points selects was not restored: {reason}")


def _list(points: Sequence[tuple[float, float]]) -> str:
    shown = ", ".join(f"[{x:g}, {y:g}]" for x, y in points[:MAX_SHOWN_POINTS])
    more = len(points) - MAX_SHOWN_POINTS
    return f"{shown} and {more} more" if more > 0 else shown
