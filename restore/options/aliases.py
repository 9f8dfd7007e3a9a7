"""Names of options in the services that this project replaces.

The command line and Python callers may use them. The Cog schema does not have them: `restore serve`
refuses them, and Cog's server alone drops unknown inputs before it calls `predict`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from restore.errors import Code, RestoreError


@dataclass(frozen=True)
class Alias:
    """An older name of an option.

    Attributes:
        name: the older name.
        option: our name.
        tasks: the tasks for which it is an alias; empty means all.
        values: our values by the older ones; other values are passed on.
    """

    name: str
    option: str
    tasks: tuple[str, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)


ALIASES = (
    Alias("fidelity", "codeformer_fidelity"),
    Alias("face_restoration_weight", "codeformer_fidelity"),
    Alias("upscale", "face_upscale", tasks=("face_restore",)),
    Alias(
        "det_model",
        "face_detector",
        values={"mobile0.25": "retinaface_mobile0.25", "resnet50": "retinaface_resnet50"},
    ),
)

YOLO_PREFIX = "yolov5"
"""Start of the names of CodeFormer's other face detectors, whose code has the AGPL licence."""


def aliases_for(task: str) -> tuple[Alias, ...]:
    """Return the aliases of the options of a task."""
    return tuple(alias for alias in ALIASES if not alias.tasks or task in alias.tasks)


def resolve_aliases(
    task: str, inputs: Mapping[str, object]
) -> tuple[dict[str, object], tuple[str, ...]]:
    """Replace older names of options.

    Args:
        task: the task of the request.
        inputs: options by name, possibly by an older one.

    Returns:
        The options by our names, and a note for each replaced name.

    Raises:
        RestoreError: OPTION_INVALID if an option is given by two names, or names a face detector
            that does not exist here.
    """
    resolved = dict(inputs)
    notes = []
    for alias in aliases_for(task):
        if alias.name not in resolved:
            continue
        value = resolved.pop(alias.name)
        if value is None:
            continue
        if resolved.get(alias.option) is not None:
            reason = f"{alias.name} and {alias.option} are two names of the same option"
            raise RestoreError(Code.OPTION_INVALID, reason, f"Use {alias.option} only.")
        resolved[alias.option] = _translate(alias, value)
        notes.append(f"{alias.name} is an older name of {alias.option}, which was used")
    return resolved, tuple(notes)


def _translate(alias: Alias, value: object) -> object:
    if not isinstance(value, str):
        return value
    if alias.option == "face_detector" and value.lower().startswith(YOLO_PREFIX):
        raise RestoreError(
            Code.OPTION_INVALID,
            f"{alias.name} is '{value[:60]}', a face detector that this project does not have",
            "Use retinaface_resnet50, which is CodeFormer's default, or retinaface_mobile0.25,"
            " which is faster.",
        )
    return alias.values.get(value, value)
