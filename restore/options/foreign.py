"""Options of other tasks: which given options no step of a request has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from restore.options.describe import tasks_using
from restore.options.names import Step
from restore.options.request import Request
from restore.options.tasks import TASK_OPTIONS

SIMILAR_OPTIONS: Mapping[tuple[str, Step], str] = {
    ("scale", "face_restore"): "face_upscale",
    ("face_upscale", "upscale"): "scale",
    ("face_upscale", "enhance"): "scale",
}
"""The option that does for a task what an option of other tasks does for them."""

TASK_OPTION_NAMES = frozenset[str]().union(*(group.names() for group in TASK_OPTIONS.values()))


def foreign_reason(name: str, step: Step) -> str:
    """Return why an option of other tasks has no effect on a step, or an empty string."""
    if name in TASK_OPTIONS[step].model_fields:
        return ""
    similar = SIMILAR_OPTIONS.get((name, step))
    hint = f"; use {similar}" if similar else ""
    return f"it is an option of {', '.join(tasks_using(name))}, not of {step}{hint}"


def foreign_option_warnings(request: Request) -> Iterator[str]:
    """Yield a warning for each given option that none of the steps has, whatever the photo.

    The steps of steps=auto are not known before a photo is seen; there is no warning for them.
    """
    for name in sorted(request.given & TASK_OPTION_NAMES):
        reasons = [foreign_reason(name, step) for step in request.steps]
        if reasons and all(reasons):
            yield f"{name} has no effect: {reasons[0]}"
