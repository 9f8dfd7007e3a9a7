"""Load the models and the face detector of a step, and describe them in its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restore.faces.detect import Detector
from restore.faces.detector_cache import AUTO, DLIB, DetectorCache
from restore.models.cache import ModelCache
from restore.models.catalog import LITE
from restore.models.loader import Model
from restore.models.precision import FLOAT32
from restore.options import FACE, FaceOptions, FaceRestoreOptions, OldPhotoOptions, TaskOptions
from restore.pipelines import TaskSpec
from restore.pipelines.face_batches import PARSER
from restore.pipelines.upscale import CLEAN_UPSCALER, CLEAN_VARIANT
from restore.report import Report
from restore.runtime.device import Runtime


@dataclass(frozen=True)
class LoadedStep:
    """The models and the face detector of a step.

    Attributes:
        models: loaded models by catalog task, the task's own first. CLEAN_UPSCALER is the embedded
            upscaler for clean photos, if the lite one was not requested by name.
        detector: the face detector; None if the step needs none.
        warnings: fallbacks that are used instead of what was requested.
    """

    models: Mapping[str, Model]
    detector: Detector | None
    warnings: Sequence[str]


def load_step(
    spec: TaskSpec, options: TaskOptions, models: ModelCache, detectors: DetectorCache
) -> LoadedStep:
    """Load the models and the face detector that a step needs with these options.

    Raises:
        RestoreError: any WEIGHTS_* code.
    """
    loaded, warnings = dict[str, Model](), list[str]()
    choices = spec.choices(options)
    for choice in choices:
        variant, requested = options.variant(choice), getattr(options, choice.field)
        model, fallback_warnings = models.get(choice.task, variant)
        loaded[choice.task] = model
        warnings += fallback_warnings
        if requested != "auto" and variant != model.variant and not fallback_warnings:
            warnings.append(
                f"{model.variant} is used instead of {requested}, because the weights policy is"
                f" '{models.policy}'"
            )
        if choice.task == "upscale" and model.variant == LITE != variant:
            loaded[CLEAN_UPSCALER] = models.get(choice.task, CLEAN_VARIANT)[0]
    if loaded[choices[0].task].variant == LITE:
        loaded |= {task: models.get(task, LITE)[0] for task in spec.lite_companions}
    detector = None
    if _needs_detector(spec, options):
        detector, fallback_warnings = _load_detector(options, loaded, detectors)
        warnings += fallback_warnings
    models.fallback_warnings.update(warnings)
    return LoadedStep(loaded, detector, warnings)


def _load_detector(
    options: TaskOptions, loaded: Mapping[str, Model], detectors: DetectorCache
) -> tuple[Detector, tuple[str, ...]]:
    """Return the face detector of a step with these models, and warnings if it is a fallback."""
    if isinstance(options, FaceOptions):
        with_lite = loaded[FACE.task].variant == LITE
        return detectors.get(options.face_detector, with_lite=with_lite)
    if LITE in {model.variant for model in loaded.values()}:
        return detectors.get(AUTO, with_lite=True)[0], ()
    # Old photos are aligned by dlib's landmarks, as officially.
    return detectors.get(DLIB, with_lite=False)[0], ()


def describe_step(
    report: Report, spec: TaskSpec, options: TaskOptions, loaded: LoadedStep, runtime: Runtime
) -> None:
    """Record models, device, precision and warnings of a step in its report."""
    models = [
        spec.running_model(model, options)
        for name, model in loaded.models.items()
        if name != CLEAN_UPSCALER
    ]
    report.variant = loaded.models[spec.choices(options)[0].task].variant
    report.weights = [dict(facts) for model in models for facts in model.weights]
    if loaded.detector is not None:
        report.weights += [dict(facts) for facts in loaded.detector.weights]
    report.device, report.precision = str(runtime.device), runtime.precision
    report.runtime_profile = runtime.profile
    report.stability_mode = "optimized" if runtime.optimized else "safe"
    report.compile_backend = runtime.compile_backend
    for warning in loaded.warnings:
        report.warn(warning)


def describe_precision(
    report: Report,
    spec: TaskSpec,
    options: TaskOptions,
    models: Mapping[str, Model],
    detector: Model | None,
    runtime: Runtime,
) -> None:
    """Record in which precision the networks of a step compute.

    Args:
        report: the report of the step.
        spec: its task.
        options: its options.
        models: the copies of its models that will run, by catalog task.
        detector: the model of its face detector; None if that is no network.
        runtime: the profile decides whether the face parser runs.
    """
    running = [
        spec.running_model(model, options)
        for name, model in models.items()
        if name != CLEAN_UPSCALER
    ]
    used = list(dict.fromkeys(model.precision_of() for model in running))
    report.precision = ", ".join(used)
    for model in (*running, *([detector] if detector else [])):
        for role, precision in model.precisions.items():
            if precision != FLOAT32 and (role != PARSER or runtime.parses_faces):
                report.add_profile_effect(f"{model.rows[role].file} computes in {precision}")


def _needs_detector(spec: TaskSpec, options: TaskOptions) -> bool:
    if isinstance(options, OldPhotoOptions):
        return options.with_face
    if isinstance(options, FaceRestoreOptions) and options.has_aligned:
        return False
    return FACE in spec.choices(options)
