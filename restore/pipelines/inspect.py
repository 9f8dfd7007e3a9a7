"""inspect: judge a photo and change nothing: the steps that it seems to need, and its faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from restore.faces.align import estimate_similarity
from restore.faces.fit import CheckedFace
from restore.options import FaceOptions, Request
from restore.pipelines.context import StepContext
from restore.pipelines.face_alignment import describe_face, reason_to_skip
from restore.pipelines.inpaint_checks import width_warnings
from restore.pipelines.prepare import prepare_photo
from restore.pipelines.propose import Assessment, Judge, ProposedStep
from restore.pipelines.request_photos import RequestPhoto
from restore.runtime.device import Runtime

Json = dict[str, object]


@dataclass(frozen=True)
class Inspection:
    """What was found in a photo, as JSON types. New keys may be added to every part.

    Attributes:
        photo: name, format and size in pixels of the upright photo, and other facts.
        steps: what steps=auto proposes, in order: `task`, its `work` (denoise or deblur; empty if
            the task has only one), `options` that differ from the defaults, the `strength`, and the
            `reason`. The strength is no option, because a pipeline of named steps would apply it to
            all of them.
        faces: the detected faces from left to right: `index` (from 0, for the option `faces`),
            `box` (x0, y0, x1, y1 in pixels of the upright photo, within it), `rotation` (degrees by
            which the photo has to be turned clockwise for the face to be upright, a multiple of
            90), `score`, `size_px` (shorter side of the box), `restorable`, and the `reason` if it
            is not.
        findings: everything that was measured: `name`, `value` (null if it could not be measured),
            `unit`, the `step` that it leads to (null if none) with its `options`, and the `reason`.
        notes: facts that are no faults, such as how a mask was read.
        warnings: what may be wrong with the photo or with this result.
    """

    photo: Json
    steps: tuple[Json, ...]
    faces: tuple[Json, ...]
    findings: tuple[Json, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> Json:
        """Return all parts as JSON."""
        return asdict(self)


def inspect_photo(
    item: RequestPhoto, request: Request, judge: Judge, runtime: Runtime
) -> Inspection:
    """Judge a photo of a request.

    Raises:
        RestoreError: BAD_NUMBERS, OUT_OF_MEMORY, MASK, naming the photo.
    """
    prepared = replace(item, photo=prepare_photo(item.photo, item.mask).photo)
    assessment = judge.assess(prepared, request)
    report = item.report
    report.face_detector = judge.detector.name
    for warning in judge.warnings:
        report.warn(warning)
    if item.mask is not None:
        for warning in width_warnings(item.mask, judge.max_hole_width_px()):
            report.warn(warning)
    context = StepContext({"face_restore": judge.face_model}, runtime, report)
    faces = _describe_faces(assessment, prepared, request.options["face_restore"], context)
    _warn_of_rotated_photo(faces, context)
    facts = item.photo.facts()
    del facts["warnings"]  # the report has them, too
    steps = [_describe_step(each) for each in assessment.steps]
    return Inspection(
        facts,
        tuple(steps),
        tuple(faces),
        tuple(report.findings),
        tuple(report.notes),
        tuple(report.warnings),
    )


def _describe_step(proposed: ProposedStep) -> Json:
    options = dict(proposed.options)
    strength = options.pop("strength", 1.0)
    return {
        "task": proposed.step,
        "work": proposed.work,
        "options": options,
        "strength": strength,
        "reason": proposed.reason,
    }


def _describe_faces(
    assessment: Assessment, item: RequestPhoto, options: FaceOptions, context: StepContext
) -> list[Json]:
    """Return the faces from left to right."""
    described: list[Json] = []
    limits = (item.photo.width, item.photo.height) * 2
    for checked in sorted(assessment.faces, key=_center):
        face = checked.face
        matrix = estimate_similarity(face.landmarks)
        reason = reason_to_skip(checked, matrix, item.photo, options, context)
        facts = describe_face(face, len(described), reason)
        box = [min(max(side, 0.0), limit) for side, limit in zip(face.box, limits, strict=True)]
        described.append(
            {
                "index": facts["index"],
                "box": [round(side, 1) for side in box],
                "rotation": facts.get("rotation", 0),
                "score": facts["score"],
                "size_px": facts["size_px"],
                "restorable": not reason,
                "reason": reason,
            }
        )
    return described


def _center(checked: CheckedFace) -> tuple[float, float]:
    left, top, right, bottom = checked.face.box
    return (left + right) / 2, (top + bottom) / 2


def _warn_of_rotated_photo(faces: Sequence[Json], context: StepContext) -> None:
    rotations_deg = {face["rotation"] for face in faces if face["restorable"]}
    if len(rotations_deg) == 1 and (rotation_deg := rotations_deg.pop()):
        context.report.warn(
            "the photo seems to be rotated: its faces are upright if it is turned by "
            f"{rotation_deg} degrees clockwise"
        )
