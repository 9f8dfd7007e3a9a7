"""Find the faces of a photo, decide which of them are restored, and cut them out aligned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from restore.faces.align import CROP_PX, crop, estimate_similarity, is_outside, smooth_crop
from restore.faces.convention import CONVENTIONS, Convention
from restore.faces.face import Face
from restore.faces.fit import NO_TRANSFORM, CheckedFace
from restore.faces.pictures import Picture
from restore.faces.rotation import QUARTER_DEG, quarters_of
from restore.faces.search import find_faces
from restore.imaging.convert import to_8_bits, to_rgb
from restore.imaging.device_photo import DevicePhoto
from restore.imaging.photo import Photo
from restore.models.catalog import Checkpoint
from restore.options import FaceOptions
from restore.pipelines.context import StepContext
from restore.pipelines.face_selection import (
    keep_one_face,
    main_reason,
    number_faces,
    reasons_not_selected,
    warn_of_refused_faces,
)

MAX_PX_PER_NETWORK_PX = 2.0
"""Largest reduction of a face for networks whose difference is added; beyond, they only smooth."""

Levels: TypeAlias = np.ndarray
"""512x512x3 RGB, uint8 or float32 levels from 0 to 255."""


CropT = TypeVar("CropT")
"""`Levels`, or on a device a 1x3x512x512 float32 tensor of levels."""


@dataclass(frozen=True)
class AlignedFace(Generic[CropT]):
    """A face of a photo, aligned for the network.

    Attributes:
        face: its box and landmarks in the photo.
        matrix: 2x3 transform from the photo to the crop.
        crop: 512x512x3 levels, or a tensor on a device.
        facts: the description of the face in the report.
    """

    face: Face
    matrix: np.ndarray
    crop: CropT
    facts: dict[str, object]


def convention_of(context: StepContext) -> Convention:
    """Return the official face convention of the context's face network."""
    return convention_of_row(context.models["face_restore"].row)


def convention_of_row(row: Checkpoint) -> Convention:
    """Return the official face convention of a face network's manifest row."""
    name = row.face_convention
    assert name is not None, "the manifest row of a face network names its convention"
    return CONVENTIONS[name]


def find_aligned_faces(
    photo: Photo, options: FaceOptions, context: StepContext
) -> list[AlignedFace[Levels]]:
    """Find the faces to restore, best first; see `align_faces`."""
    # Fewer bits before more channels: that saves memory.
    checked = detect_faces(to_rgb(to_8_bits(photo.pixels)), context)
    pixels = to_rgb(photo.pixels)
    cut = smooth_crop if context.models["face_restore"].row.difference else crop
    return align_faces(checked, photo, lambda matrix: cut(pixels, matrix), options, context)


def align_faces(
    checked: Sequence[CheckedFace],
    photo: Photo | DevicePhoto,
    cut: Callable[[np.ndarray], CropT],
    options: FaceOptions,
    context: StepContext,
) -> list[AlignedFace[CropT]]:
    """Choose the faces to restore and cut them out, best first.

    All detected faces are added to the report, each with the reason if it is not restored.

    Args:
        checked: the detected faces.
        photo: the photo, for its size.
        cut: returns the crop of a face, given its transform from photo to crop.
        options: options of the step.
        context: context of the step.
    """
    faces = [each.face for each in checked]
    matrices = [estimate_similarity(face.landmarks) for face in faces]
    size = (photo.width, photo.height)
    boxes = [face.box for face in faces]
    unselected = reasons_not_selected(boxes, size, options.faces, context)
    reasons = [
        reason or reason_to_skip(each, matrix, photo, options, context)
        for reason, each, matrix in zip(unselected, checked, matrices, strict=True)
    ]
    keep_one_face(boxes, size, reasons, options.faces, only_center_face=options.only_center_face)
    aligned = []
    numbers = number_faces(boxes)
    for number, face, matrix, reason in zip(numbers, faces, matrices, reasons, strict=True):
        facts = describe_face(face, number, reason)
        context.report.faces.append(facts)
        if not reason and matrix is not None:
            aligned.append(AlignedFace(face, matrix, cut(matrix), facts))
    if not faces:
        context.report.warn(
            f"no face was found by {context.report.face_detector}, so none was restored"
        )
    elif not aligned:
        context.report.warn(f"none of {len(faces)} faces was restored: {main_reason(reasons)}")
    warn_of_refused_faces(numbers, reasons, options.faces, context)
    warn_of_rotated_photo([each.face for each in aligned], context)
    context.report.face_restoration_applied = bool(aligned)
    return aligned


def describe_face(face: Face, number: int, reason: str) -> dict[str, object]:
    """Return a face as JSON for the report; `reason` is empty if the face is restored.

    `index` is its number from left to right, which the option `faces` uses.
    `rotation`, in degrees, is given only for faces that are not upright: a multiple of 90 by which
    the photo has to be turned clockwise for the face to be upright.
    """
    facts: dict[str, object] = {
        "index": number,
        "box": [round(float(side), 1) for side in face.box],
        "score": round(float(face.score), 4),
        "size_px": round(float(face.size_px), 1),
        "restored": not reason,
        "reason": reason,
    }
    rotation_deg = _rotation_deg(face)
    return facts | {"rotation": rotation_deg} if rotation_deg else facts


def warn_of_rotated_photo(restored: Sequence[Face], context: StepContext) -> None:
    """Warn that a photo seems to be rotated if all restored faces are, by the same angle."""
    rotations_deg = {_rotation_deg(face) for face in restored}
    if len(rotations_deg) == 1 and (rotation_deg := rotations_deg.pop()):
        context.report.warn(
            f"the photo seems to be rotated: its faces are upright if it is turned by"
            f" {rotation_deg} degrees clockwise; they were restored in place, but turn the photo"
            " before you run other tasks"
        )


def too_large_for(row: Checkpoint, crop_side_px: float) -> str:
    """Return why a network must not restore a face of this size, or an empty string.

    A network whose difference is added to the photo adds nothing finer than its own pixels. It
    would only smooth a face that is sharp at that scale.

    Args:
        row: the manifest row of the face network.
        crop_side_px: pixels of the photo that a side of the crop covers.
    """
    if row.difference and row.input_px and crop_side_px > MAX_PX_PER_NETWORK_PX * row.input_px:
        return (
            f"its crop covers {crop_side_px:.0f} pixels, too many for this network with an input of"
            f" {row.input_px}: the face has finer detail than the network can add"
        )
    return ""


def _rotation_deg(face: Face) -> int:
    matrix = estimate_similarity(face.landmarks)
    return 0 if matrix is None else QUARTER_DEG * quarters_of(matrix)


def detect_faces(picture: Picture, context: StepContext) -> list[CheckedFace]:
    """Find and check the faces of a picture: 8-bit RGB, on the host or on the detector's device."""
    detector, convention = context.detector, convention_of(context)
    assert detector is not None, "a step with faces has a detector"
    context.report.face_detector = detector.name
    return find_faces(
        detector,
        picture,
        short_side_px=convention.detect_short_side_px,
        threshold=convention.score_threshold,
        checks=context.rules.checks_faces,
    )


def reason_to_skip(
    checked: CheckedFace,
    matrix: np.ndarray | None,
    photo: Photo | DevicePhoto,
    options: FaceOptions,
    context: StepContext,
) -> str:
    """Return why a face is not restored, or an empty string.

    Args:
        checked: the face.
        matrix: 2x3 transform from the photo to the crop; None if there is none.
        photo: the photo, for its size.
        options: options of the step.
        context: context of the step.
    """
    convention, row = convention_of(context), context.models["face_restore"].row
    face = checked.face
    if face.size_px < options.min_face_px:
        return f"its {face.size_px:.0f} pixels are less than min_face_px {options.min_face_px}"
    if context.rules.eye_distance_px(face, convention) < convention.min_eye_distance_px:
        return f"its eyes are less than {convention.min_eye_distance_px:g} pixels apart"
    if matrix is None:
        return NO_TRANSFORM
    if is_outside(matrix, photo.width, photo.height):
        return "it lies outside of the photo"
    return checked.reason or too_large_for(
        row, CROP_PX / float(np.hypot(matrix[0, 0], matrix[1, 0]))
    )
