"""The harm check: what happens to the result of a step that damages the photo.

The result is blended with its input outside of the areas that the step changes on purpose, at
falling strengths, until it is harmless. If no strength suffices, a proposed step is skipped and a
step that the request names is refused.
"""

from __future__ import annotations

import cv2
import numpy as np

from restore.errors import Code, RestoreError
from restore.imaging.convert import to_rgb
from restore.imaging.photo import Photo
from restore.imaging.resize import blend_pixels, resize_mask
from restore.pipelines.context import StepContext
from restore.pipelines.harm import Expected, Harm, measure_harm
from restore.pipelines.harm_bounds import BOUNDS

REDUCED_STRENGTHS = (0.5, 0.25)
"""Weights of the result that are tried, strongest first."""

EDGE_SIGMA_PX = 3.0
"""Softness of the transition between changed areas and the blend, in pixels of the result."""


def check_harm(
    before: Photo,
    after: Photo,
    expected: Expected,
    context: StepContext,
    *,
    is_proposed: bool,
    corrects: bool,
) -> Photo:
    """Compare the result of a step with its input, and reduce or reject a harmful one.

    Figures and status go to the report of the step.

    Args:
        before: the photo before the step.
        after: its result.
        expected: what the step may change outside of `context.changed_areas`.
        context: the context of the step.
        is_proposed: whether `steps=auto` proposed the step, so that it may be skipped.
        corrects: whether a harmful result is reduced or rejected; else there is only a warning.

    Returns:
        `after`, a blend of both, or `before` if the step is skipped.

    Raises:
        RestoreError: HARM if the step was requested by name and nothing sensible remains.
    """
    changed = np.logical_or.reduce(context.changed_areas) if context.changed_areas else None
    bounds, report = BOUNDS[expected], context.report
    harm = measure_harm(before, after, expected, changed)
    report.harm = harm.facts()
    problems = bounds.exceeded(harm)
    if not problems:
        return after
    problem = " and ".join(problems)
    if not corrects:
        report.warn(f"the result may be damaged: {problem}; harm_check is off, so it was kept")
        return after
    if expected is Expected.NOTHING:
        strengths: tuple[float, ...] = (0.0,)
    else:
        strengths = REDUCED_STRENGTHS
    for strength in strengths:
        reduced = _blend_outside(before, after, strength, changed)
        if not bounds.exceeded(measure_harm(before, reduced, expected, changed)):
            return _accept_reduced(reduced, strength, problem, harm, context)
    if is_proposed:
        report.status = "skipped"
        report.warn(f"the step was skipped, because it would damage the photo: {problem}")
        return before
    raise RestoreError(
        Code.HARM,
        f"{report.task} would damage it: {problem}",
        "Leave the step out, use another variant, or set harm_check to false to get the result"
        " as it is.",
        photo=report.photo,
    )


def _accept_reduced(
    reduced: Photo, strength: float, problem: str, harm: Harm, context: StepContext
) -> Photo:
    report = context.report
    report.status = "reduced"
    report.harm = {**harm.facts(), "strength": strength}
    report.warn(
        f"the step would have damaged the photo ({problem}), so its result was blended with the"
        f" original at a strength of {strength:g}"
    )
    return reduced


def _blend_outside(
    before: Photo, after: Photo, strength: float, changed: np.ndarray | None
) -> Photo:
    """Blend the result with its input, except in the changed areas."""
    if before.is_grey and not after.is_grey:
        before = before.with_pixels(to_rgb(before.pixels), before.alpha)
    blend = blend_pixels(after.pixels, before.pixels, strength)
    if changed is None or not changed.any():
        return after.with_pixels(blend, after.alpha)
    area = resize_mask(changed, (after.width, after.height)).astype(np.float32)
    weight = np.maximum(area, cv2.GaussianBlur(area, (0, 0), EDGE_SIGMA_PX))
    if strength == 0.0:
        weight = area  # nothing outside may change, not even in a transition
    if not after.is_grey:
        weight = weight[..., None]
    mixed = weight * after.pixels + (1 - weight) * blend
    return after.with_pixels(np.rint(mixed).astype(after.pixels.dtype), after.alpha)
