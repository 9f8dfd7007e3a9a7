"""Restoration of the faces of an old photo (stages 2 to 4 of Bringing Old Photos Back to Life)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch

from restore.faces.area import mark_face
from restore.faces.face import Face
from restore.faces.fit import NO_TRANSFORM, CheckedFace
from restore.faces.points import Box
from restore.faces.search import find_faces
from restore.models.adapters.old_photo import to_input, to_pixels
from restore.models.loader import Model
from restore.pipelines.context import StepContext
from restore.pipelines.face_alignment import describe_face, warn_of_rotated_photo
from restore.pipelines.face_checks import reason_not_to_paste
from restore.pipelines.face_selection import (
    keep_one_face,
    main_reason,
    number_faces,
    reasons_not_selected,
    warn_of_refused_faces,
)
from restore.pipelines.old_photo_alignment import (
    cut_face,
    face_region,
    face_to_photo,
    five_landmarks,
    match_histogram,
    paste_face,
)
from restore.runtime.output_checks import checked_output

FACE_PX = 256
HR_FACE_PX = 512
"""Side of an aligned face, without and with `old_photo_hr`."""

HR_VARIANT = "scratch_hr"


def restore_old_photo_faces(
    pixels: np.ndarray, photo_size: tuple[int, int], faces: str, context: StepContext
) -> np.ndarray:
    """Restore the detected faces that are selected.

    Args:
        pixels: HxWx3 uint8.
        photo_size: (width, height) of the photo, in whose pixels the report describes the faces.
        faces: the option `faces`.
        context: the step's context.

    Returns:
        HxWx3 uint8.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    detector, report = context.detector, context.report
    assert detector is not None, "with_face needs a detector"
    with report.stage("detect"):
        found = find_faces(
            detector,
            pixels,
            short_side_px=None,
            threshold=0.0,
            checks=context.rules.checks_faces,
        )
    report.face_detector = detector.name
    if not found:
        report.warn("no face was found")
        return pixels
    factors = np.tile(np.array(photo_size) / (pixels.shape[1], pixels.shape[0]), 2)
    boxes: list[Box] = [tuple((np.array(each.face.box) * factors).tolist()) for each in found]
    skipped = _reasons_to_skip(found, boxes, photo_size, faces, context)
    area = np.zeros((photo_size[1], photo_size[0]), np.bool_)
    canvas, restored, reasons = pixels.astype(np.float64), list[Face](), list[str]()
    numbers = number_faces(boxes)
    for index, (number, box) in enumerate(zip(numbers, boxes, strict=True)):
        context.progress("faces", index, len(found))
        face = found[index].face
        reasons.append(skipped[index] or _restore_face(pixels, canvas, face, area, context))
        if not reasons[-1]:
            restored.append(face)
        described = dataclasses.replace(face, box=box)
        report.faces.append(describe_face(described, number, reasons[-1]))
    report.face_restoration_applied = bool(restored)
    if restored:
        context.changed_areas.append(area)
        warn_of_rotated_photo(restored, context)
    else:
        report.warn(f"none of {len(found)} faces was restored: {main_reason(reasons)}")
    warn_of_refused_faces(numbers, reasons, faces, context)
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)


def _reasons_to_skip(
    found: Sequence[CheckedFace],
    boxes: Sequence[Box],
    photo_size: tuple[int, int],
    faces: str,
    context: StepContext,
) -> list[str]:
    """Return why each face is not restored, as far as that is known before, or an empty string."""
    unselected = reasons_not_selected(boxes, photo_size, faces, context)
    reasons = [reason or checked.reason for reason, checked in zip(unselected, found, strict=True)]
    keep_one_face(boxes, photo_size, reasons, faces)
    return reasons


def _restore_face(
    pixels: np.ndarray,
    canvas: np.ndarray,
    face: Face,
    area: np.ndarray,
    context: StepContext,
) -> str:
    """Restore one face of HxWx3 uint8 pixels and paste it into the canvas of float64 levels.

    The pasted area is marked in `area`, a bool array of the photo's size.

    Returns:
        Why the face was not restored, or an empty string.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    model = context.models["old_photo_restore"]
    side_px = HR_FACE_PX if model.variant == HR_VARIANT else FACE_PX
    with context.report.stage("faces"), torch.inference_mode():
        matrix = face_to_photo(five_landmarks(face), side_px)
        if matrix is None:
            return NO_TRANSFORM
        if face_region(matrix, side_px, pixels, 0) is None:
            return "it lies outside of the photo"
        crop = cut_face(pixels, matrix, side_px)
        restored = _run_face_network(np.rint(crop).astype(np.uint8), model)
    with context.report.stage("paste"):
        reference = context.rules.round_levels(crop).astype(np.uint8)
        matched = match_histogram(restored, reference)
        reason = reason_not_to_paste(matched, crop, context)
        if not reason:
            paste_face(canvas, matched, matrix)
            scale = np.diag(np.array(area.shape[::-1]) / (pixels.shape[1], pixels.shape[0]))
            mark_face(area, np.ones((side_px, side_px), np.float32), scale @ matrix)
    return reason


def _run_face_network(face: np.ndarray, model: Model) -> np.ndarray:
    """Restore an aligned face: SxSx3 uint8 to SxSx3 uint8."""
    net = model.partners["face_generator"]
    tensor = to_input(face, net)
    return to_pixels(checked_output(net(tensor), tensor, f"{model.variant}: faces")[0])
