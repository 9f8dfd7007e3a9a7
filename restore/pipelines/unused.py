"""Find the options that have no effect on a photo, so that none is ignored silently."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from restore.models.adapters.base import FaceAdapter, UpscaleAdapter
from restore.models.catalog import DENOISE_PARTNER, LITE
from restore.models.loader import Model
from restore.options import TASK_OPTION_NAMES, Request, Step, TaskOptions, foreign_reason
from restore.pipelines import TaskSpec
from restore.pipelines.upscale import CLEAN_UPSCALER

_REPORTED_ELSEWHERE = frozenset({"points"})
"""`decode_photos` warns of masks and points that are not used."""


@dataclass(frozen=True)
class StepUse:
    """A step with the options and models that it uses.

    Attributes:
        models: loaded models by catalog task.
        proposed: the options that steps=auto sets.
    """

    step: Step
    spec: TaskSpec
    options: TaskOptions
    models: Mapping[str, Model]
    proposed: Mapping[str, object] = field(default_factory=dict)


def unused_option_warnings(request: Request, steps: Sequence[StepUse]) -> Iterator[str]:
    """Yield a warning for each option that was given and that no step uses.

    Args:
        request: the request; `given` names the options that the caller gave.
        steps: the steps that a photo runs through.
    """
    if not steps:
        return
    reasons = [_reasons(use) for use in steps]
    for name in sorted(request.given & TASK_OPTION_NAMES - _REPORTED_ELSEWHERE):
        own = [
            foreign_reason(name, use.step) or by_name.get(name, "")
            for use, by_name in zip(steps, reasons, strict=True)
        ]
        if all(own):
            yield f"{name} has no effect: {_best(own)}"


def _best(reasons: Sequence[str]) -> str:
    """Return the reason of a step that has the option at all, if there is one."""
    return next((reason for reason in reasons if "is an option of" not in reason), reasons[0])


def _reasons(use: StepUse) -> Mapping[str, str]:
    """Return, by name, why options of a step have no effect on it."""
    reasons = dict(use.options.without_effect())
    reasons |= {name: f"steps=auto sets it to {value}" for name, value in use.proposed.items()}
    model = use.models[use.spec.choices(use.options)[0].task]
    if use.step == "old_photo_restore":
        if model.variant == LITE:
            reasons.setdefault("old_photo_hr", "lite networks work the same at every size")
        else:
            reasons["tile_size"] = f"{model.variant} does not use tiles"
    for name, used in use.models.items():
        if name == CLEAN_UPSCALER:
            continue
        reasons |= _reasons_of_model(use.spec.running_model(used, use.options))
    return reasons


def _reasons_of_model(model: Model) -> Mapping[str, str]:
    reasons = {}
    if isinstance(model.adapter, FaceAdapter) and not model.adapter.uses_fidelity:
        reasons["codeformer_fidelity"] = f"the face network is {model.variant}, not codeformer"
    if isinstance(model.adapter, UpscaleAdapter):
        network = f"the upscaling network is {model.row.file}"
        if DENOISE_PARTNER not in model.partners:
            reasons["denoise_strength"] = f"{network}; only general_x4v3 has this option"
        if model.adapter.without_grain(model.net) is model.net:
            reasons["grain"] = f"{network}, which adds no grain"
    return reasons
