"""pipeline with `steps=auto`: choose the steps that a photo seems to need."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Self, cast

import numpy as np
from torch import nn

from restore.errors import RestoreError
from restore.faces.detect import Detector
from restore.faces.detector_cache import DetectorCache
from restore.faces.fit import CheckedFace
from restore.imaging.photo import Photo
from restore.models.adapters.base import InpaintAdapter
from restore.models.cache import ModelCache
from restore.models.catalog import LITE
from restore.models.loader import Model
from restore.models.policy import Policy
from restore.options import (
    COLORS,
    FACE,
    LAMA,
    OLD_PHOTO,
    SIZE_OPTIONS,
    UPSCALER,
    FaceOptions,
    InpaintOptions,
    Request,
    RestoreOptions,
    Step,
    TaskOptions,
    UpscaleOptions,
)
from restore.pipelines.assessment.colours import predict_change
from restore.pipelines.assessment.enlargement import MAX_FAITHFUL_SCALE, gentle_options
from restore.pipelines.assessment.findings import DEBLUR, DENOISE, Finding, judge_measurements
from restore.pipelines.assessment.hole import judge_hole
from restore.pipelines.assessment.measurements import PredictChange, measure_photo
from restore.pipelines.cleanness import is_sharp_and_clean
from restore.pipelines.face_alignment import convention_of_row
from restore.pipelines.inpaint_checks import check_mask
from restore.pipelines.request_photos import RequestPhoto
from restore.runtime.device import Runtime
from restore.runtime.memory import translate_memory_errors

STEP_ORDER: tuple[tuple[Step, str], ...] = (
    ("inpaint", ""),
    ("colors", ""),
    ("old_photo_restore", ""),
    ("restore", DENOISE),
    ("restore", DEBLUR),
    ("colorize", ""),
    ("face_restore", ""),
    ("enhance", ""),
    ("upscale", ""),
)
"""The order of all steps, and of the works of a step that can do several. docs/assessment.md has
the measurements: scratches and noise are found more easily in a photo with its full contrast, and
they are removed before they are sharpened or enlarged."""

VARIANTS: Mapping[str, str] = MappingProxyType({DENOISE: "denoise", DEBLUR: "deblur"})
LITE_VARIANTS: Mapping[str, str] = MappingProxyType({DENOISE: "lite", DEBLUR: "lite_deblur"})
"""The values of `restore_variant` for each work of `restore`."""

FIXED_OPTIONS = frozenset({"with_scratch", "with_face"})
"""Options of proposed steps that a request cannot change. Other options that a request gives
replace the proposed ones."""

RESTORE_WORKS: Mapping[str, str] = MappingProxyType(
    {"denoise": DENOISE, "lite": DENOISE, "deblur": DEBLUR, "lite_deblur": DEBLUR}
)
"""What `restore` does with each value of `restore_variant`."""

TARGET_OPTIONS = frozenset({"target_px", "target_mp"})
"""Options for which a photo is enlarged or reduced even if it needs no step."""


@dataclass(frozen=True)
class ProposedStep:
    """A step that a photo seems to need, or that the request names.

    Attributes:
        step: its task.
        options: options that differ from those of the request.
        reason: why it is proposed; empty for steps that the request names.
        work: what it does, if the step can do several things.
    """

    step: Step
    options: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""
    work: str = ""

    def task_options(self, request: Request) -> TaskOptions:
        """Return all options of the step in a request."""
        options: TaskOptions = request.options[self.step]
        return options.model_copy(update=dict(self.options))


@dataclass(frozen=True)
class Assessment:
    """What a photo seems to need.

    Attributes:
        steps: the steps that it needs, in the order in which they run; empty if it needs none.
        faces: the detected faces, the highest score first; those with a reason do not fit.
        findings: everything that was measured, also what leads to no step.
    """

    steps: Sequence[ProposedStep]
    faces: Sequence[CheckedFace]
    findings: Sequence[Finding] = ()


@dataclass(frozen=True)
class Judge:
    """Chooses steps with the models that a request uses.

    Attributes:
        face_model: the face restoration network.
        detector: the face detector.
        scratch_net: the lite network that finds scratches.
        predict_change: predicts what the step `colors` would do to a photo.
        restore_variants: the value of `restore_variant` for each work of `restore`.
        warnings: why another face detector is used than the requested one.
        enlarges_lite: loads the upscaler and tells whether it is the lite one.
        max_hole_width_px: loads the inpainting network and tells the width of a hole that it can
            fill; None: any.
    """

    face_model: Model
    detector: Detector
    scratch_net: nn.Module
    predict_change: PredictChange
    restore_variants: Mapping[str, str]
    warnings: Sequence[str]
    enlarges_lite: Callable[[], bool]
    max_hole_width_px: Callable[[], int | None]

    @classmethod
    def load(
        cls, request: Request, models: ModelCache, detectors: DetectorCache, runtime: Runtime
    ) -> Self:
        """Load the models.

        Raises:
            RestoreError: any WEIGHTS_* code.
        """
        options: FaceOptions = request.options["face_restore"]
        upscale_options: UpscaleOptions = request.options["upscale"]
        inpaint_options: InpaintOptions = request.options["inpaint"]
        # Without the warnings about it: it is not called, only its input size and limits are used.
        face_model, _ = models.get(FACE.task, options.variant(FACE))
        detector, warnings = detectors.get(
            options.face_detector, with_lite=face_model.variant == LITE
        )
        models.fallback_warnings.update(warnings)
        scratch_model, _ = models.get(OLD_PHOTO.task, LITE)
        colors_model, _ = models.get(COLORS.task, LITE)
        return cls(
            face_model,
            detector,
            scratch_model.net,
            functools.partial(predict_change, model=colors_model, runtime=runtime),
            LITE_VARIANTS if models.policy is Policy.LITE else VARIANTS,
            warnings,
            lambda: models.get(UPSCALER.task, upscale_options.variant())[0].variant == LITE,
            lambda: (
                models.get(LAMA.task, inpaint_options.variant())[0]
                .adapter_of_kind(InpaintAdapter)
                .max_hole_width_px
            ),
        )

    def assess(self, item: RequestPhoto, request: Request) -> Assessment:
        """Assess a photo of a request, and record the findings in its report.

        Raises:
            RestoreError: BAD_NUMBERS, OUT_OF_MEMORY, MASK, naming the photo.
        """
        name = item.photo.name
        try:
            with item.report.stage("propose"), translate_memory_errors(name, "analysing"):
                assessment = assess_photo(item.photo, self, request, item.mask)
        except RestoreError as error:
            raise error.about(name) from error
        item.report.findings = [finding.facts() for finding in assessment.findings]
        return assessment


def assess_photo(
    photo: Photo, judge: Judge, request: Request, mask: np.ndarray | None = None
) -> Assessment:
    """Measure a photo and choose the steps that it seems to need.

    Args:
        photo: the photo.
        judge: the models that look at it.
        request: names further steps, and options that replace the proposed ones.
        mask: HxW bool of the photo, True where the request wants it to be filled.

    Raises:
        RestoreError: BAD_NUMBERS; MASK for one that marks nothing or all of the photo.
    """
    if mask is not None:
        check_mask(mask, photo.name)
    convention = convention_of_row(judge.face_model.row)
    measured, faces = measure_photo(
        photo, judge.detector, convention, judge.scratch_net, judge.predict_change
    )
    holes = [] if mask is None else judge_hole(mask)
    findings = [*holes, *judge_measurements(measured)]
    proposed = propose_steps(findings, request, judge.restore_variants)
    proposed = [each for each in proposed if not request.left_out & {each.step, each.work}]
    steps = add_further_steps(proposed, request)
    if _proposes_enlargement(steps, request, photo) and judge.enlarges_lite():
        steps = _enlarge_gently(steps, request, is_clean=is_sharp_and_clean(photo.pixels))
    return Assessment(steps, faces, findings)


def propose_steps(
    findings: Sequence[Finding], request: Request, restore_variants: Mapping[str, str]
) -> list[ProposedStep]:
    """Merge findings that lead to the same work into one step, with all reasons.

    `old_photo_restore` denoises too, so that denoising is no step of its own beside it. If the
    request names a variant of `restore`, only its work is proposed.

    Args:
        findings: the findings of a photo.
        request: the request.
        restore_variants: the value of `restore_variant` for each work of `restore`.
    """
    groups: dict[tuple[Step, str], list[Finding]] = {}
    for finding in findings:
        if finding.step is not None:
            groups.setdefault((finding.step, finding.work), []).append(finding)
    if ("old_photo_restore", "") in groups:
        groups.pop(("restore", DENOISE), None)
    restore: RestoreOptions = request.options["restore"]
    default_work = RESTORE_WORKS[restore.variant()]
    if restore.restore_variant != "auto":
        other_work = DEBLUR if default_work == DENOISE else DENOISE
        groups.pop(("restore", other_work), None)
    steps = []
    for (step, work), group in groups.items():
        options: dict[str, object] = {}
        for finding in group:
            options |= _stronger(options, finding.options)
        if step == "restore" and work != default_work:
            options["restore_variant"] = restore_variants[work]
        reason = " and ".join(finding.reason for finding in group)
        steps.append(ProposedStep(step, _without_given(options, request), reason, work))
    return steps


def _proposes_enlargement(steps: Sequence[ProposedStep], request: Request, photo: Photo) -> bool:
    """Tell whether a photo will be enlarged so much that lite networks have a choice."""
    if "upscale_variant" in request.given:
        return False
    proposed = [each for each in steps if each.step == "upscale" and each.reason]
    options = [cast(UpscaleOptions, each.task_options(request)) for each in proposed]
    return any(each.scale_for(photo.width, photo.height) > MAX_FAITHFUL_SCALE for each in options)


def _enlarge_gently(
    steps: Sequence[ProposedStep], request: Request, *, is_clean: bool
) -> tuple[ProposedStep, ...]:
    """Add `gentle_options` to the step `upscale`, without what the request decides."""
    works = {(each.step, each.work) for each in steps}
    added = _without_given(gentle_options(works, is_clean=is_clean), request)
    return tuple(
        replace(each, options={**each.options, **added}) if each.step == "upscale" else each
        for each in steps
    )


def _stronger(options: Mapping[str, object], others: Mapping[str, object]) -> dict[str, object]:
    """Return options with the larger of two strengths."""
    merged = {**options, **others}
    strengths = [given["strength"] for given in (options, others) if "strength" in given]
    if strengths:
        merged["strength"] = max(map(float, map(str, strengths)))
    return merged


def _without_given(options: Mapping[str, object], request: Request) -> dict[str, object]:
    """Return proposed options without those that the request decides."""
    decided = set(request.given - FIXED_OPTIONS)
    if request.given.intersection(SIZE_OPTIONS):
        decided.add("scale")
    return {name: value for name, value in options.items() if name not in decided}


def add_further_steps(
    proposed: Sequence[ProposedStep], request: Request
) -> tuple[ProposedStep, ...]:
    """Add the steps that the request names after `auto`, and sort all steps by STEP_ORDER.

    A step that is proposed anyway is not repeated.
    """
    names = {each.step for each in proposed}
    further = [ProposedStep(step) for step in request.further_steps if step not in names]
    names.update(request.further_steps)
    sized = {"upscale", "enhance"}
    if request.given & TARGET_OPTIONS and not sized & (names | request.left_out):
        further.append(ProposedStep("upscale", reason="the request states the size of the result"))
    return tuple(sorted((*proposed, *further), key=_position))


def _position(proposed: ProposedStep) -> int:
    places = [place for place, entry in enumerate(STEP_ORDER) if entry[0] == proposed.step]
    return next((place for place in places if STEP_ORDER[place][1] == proposed.work), places[0])
