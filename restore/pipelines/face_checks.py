"""Checks of restored faces before they are pasted, and the area that they cover."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from restore.faces.align import CROP_PX
from restore.faces.area import mark_face
from restore.faces.plausibility import FaceChange, measure_change
from restore.pipelines.context import StepContext
from restore.pipelines.face_alignment import AlignedFace, CropT, Levels


def reason_not_to_paste(restored: np.ndarray, crop: np.ndarray, context: StepContext) -> str:
    """Return why a restored SxSx3 face must not be pasted, with a warning, or an empty string."""
    return _reason_not_to_paste(restored, crop, context, measure_change)


def _reason_not_to_paste(
    restored: CropT,
    crop: CropT,
    context: StepContext,
    measure: Callable[[CropT, CropT], FaceChange],
) -> str:
    if not context.rules.checks_faces:
        return ""
    reason = measure(restored, crop).reason_not_to_paste()
    if reason:
        context.report.warn(f"a restored face was not used: {reason}")
    return reason


def keep_usable_faces(
    aligned: Sequence[AlignedFace[CropT]],
    restored: Sequence[CropT],
    context: StepContext,
    measure: Callable[[CropT, CropT], FaceChange],
) -> tuple[list[AlignedFace[CropT]], list[CropT]]:
    """Return the faces that may be pasted; the report gets the reasons for the others.

    Args:
        aligned: the faces.
        restored: their restored crops.
        context: context of the step.
        measure: `measure_change` or its version for a device.
    """
    kept: list[tuple[AlignedFace[CropT], CropT]] = []
    for face, levels in zip(aligned, restored, strict=True):
        reason = _reason_not_to_paste(levels, face.crop, context, measure)
        if reason:
            face.facts.update(restored=False, reason=reason)
        else:
            kept.append((face, levels))
    context.report.face_restoration_applied = bool(kept)
    return [face for face, _ in kept], [levels for _, levels in kept]


def record_pasted_area(
    aligned: Sequence[AlignedFace[Levels]],
    masks: Sequence[np.ndarray | None],
    size: tuple[int, int],
    context: StepContext,
) -> None:
    """Record where faces are pasted in a photo.

    Args:
        aligned: the faces.
        masks: 512x512 float32 weight of each face in its crop; None for the whole crop.
        size: (width, height) of the photo.
        context: its list of changed areas gets an HxW bool array.
    """
    area = np.zeros((size[1], size[0]), np.bool_)
    for face, mask in zip(aligned, masks, strict=True):
        weight = np.ones((CROP_PX, CROP_PX), np.float32) if mask is None else mask
        mark_face(area, weight, cv2.invertAffineTransform(face.matrix))
    context.changed_areas.append(area)
