"""A validated request: its task, its steps and the options of all tasks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from restore.errors import Code, RestoreError
from restore.options.aliases import aliases_for, resolve_aliases
from restore.options.arguments import SETTINGS
from restore.options.base import Options
from restore.options.describe import INPUT_ORDER, INSPECT_OPTIONS
from restore.options.face_choice import check_face_choice
from restore.options.general import (
    AUTO_STEPS,
    OutputOptions,
    PipelineOptions,
    RunOptions,
    parse_steps,
)
from restore.options.names import (
    INSPECT_TASK,
    MIN_TILE_PX,
    PIPELINE_TASK,
    SIZE_OPTIONS,
    Step,
    Task,
    check_task,
)
from restore.options.shared import FaceOptions, TaskOptions
from restore.options.suggest import MAX_SHOWN_CHARACTERS, nearest_name
from restore.options.tasks import TASK_OPTIONS

GROUPS: tuple[type[Options], ...] = (
    *TASK_OPTIONS.values(),
    PipelineOptions,
    OutputOptions,
    RunOptions,
)

CATALOG_TASKS: Mapping[Step, tuple[str, ...]] = {
    "face_restore": ("face_restore", "face_detect"),
    "enhance": ("upscale", "face_restore", "face_detect"),
    "upscale": ("upscale",),
    "restore": ("restore",),
    "colorize": ("colorize",),
    "old_photo_restore": ("old_photo_restore",),
    "inpaint": ("inpaint",),
    "colors": ("colors",),
}
"""Catalog tasks whose checkpoints a task needs with its default options."""


class Request(BaseModel):
    """A validated request without its photos.

    Attributes:
        steps: the tasks to run in order: one, unless the task is `pipeline`. Empty if the steps are
            to be proposed for each photo, as `inspect` does too.
        further_steps: the tasks to run beside proposed ones.
        left_out: the steps, and works of `restore`, that are not proposed.
        options: the options of every task.
        given: names of the options that the caller gave.
        notes: older option names that were replaced.
        warnings: values that were changed or that no task can use.
    """

    model_config = ConfigDict(frozen=True)

    task: Task
    steps: tuple[Step, ...]
    further_steps: tuple[Step, ...] = ()
    left_out: frozenset[str] = frozenset()
    options: dict[Step, Any]
    output: OutputOptions
    run: RunOptions
    given: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def uses_masks(self) -> bool:
        """Whether a step fills the hole of a mask, or may be proposed to do so."""
        return "inpaint" in self.steps or not self.steps

    def facts(self, environment: Mapping[str, str] = os.environ) -> list[object]:
        """Return all that a result depends on besides photos, masks and weights, as JSON types.

        How a default is written makes no difference, except for proposed steps: there, a given
        option replaces the proposed one.

        Args:
            environment: the variables `MODEL_*`, which say what `auto` means, are read.

        Raises:
            RestoreError: OPTION_INVALID if the environment names a variant that does not exist.
        """
        steps = self.steps or tuple(self.options)
        # Left out if it is empty, as in the records of versions that did not have it.
        variants = {step: chosen for step in steps if (chosen := self._variants(step, environment))}
        names = frozenset[str]().union(*(self.options[step].names() for step in steps))
        return [
            self.task,
            list(self.steps),
            list(self.further_steps),
            sorted(self.left_out),
            [] if self.steps else sorted(self.given & names),
            {step: self.options[step].model_dump(mode="json") for step in steps},
            self.output.model_dump(mode="json"),
            self.run.model_dump(mode="json"),
            *([variants] if variants else ()),
        ]

    def _variants(self, step: Step, environment: Mapping[str, str]) -> dict[str, str]:
        """Return the networks of a step that the environment chooses, if not the default ones."""
        options: TaskOptions = self.options[step]
        without_effect = options.without_effect()
        return {
            choice.environment: variant
            for choice in options.variant_choices
            if choice.field not in without_effect
            and (variant := options.variant(choice, environment)) != options.variant(choice, {})
        }

    @classmethod
    def from_inputs(cls, task: str, inputs: Mapping[str, object]) -> Self:
        """Validate a task name and a flat mapping of options.

        Each task uses its own options, but all of them are validated: a value that is never allowed
        is refused even if the task does not use it. Older names of options are replaced.

        Raises:
            RestoreError: OPTION_INVALID (task or value), OPTION_UNKNOWN (no task has the option).
        """
        check_task(task)
        inputs, notes = resolve_aliases(task, inputs)
        _check_names(task, inputs)
        _check_sizes(inputs)
        options = {name: group.from_inputs(inputs) for name, group in TASK_OPTIONS.items()}
        faces = FaceOptions.from_inputs(inputs)
        check_face_choice(
            faces.faces, faces.face_points or "", only_center_face=faces.only_center_face
        )
        pipeline_steps = parse_steps(PipelineOptions.from_inputs(inputs).steps)
        steps = pipeline_steps if task == PIPELINE_TASK else (task,)
        proposes = task == INSPECT_TASK or steps[0] == AUTO_STEPS
        beside = steps[1:] if proposes else ()
        request = cls.model_validate(
            {
                "task": task,
                "steps": () if proposes else steps,
                "further_steps": [name for name in beside if not name.startswith("-")],
                "left_out": [name[1:] for name in beside if name.startswith("-")],
                "options": options,
                "output": OutputOptions.from_inputs(inputs),
                "run": RunOptions.from_inputs(inputs),
                "given": {name for name, value in inputs.items() if value is not None},
                "notes": notes,
            }
        )
        return request.model_copy(update={"warnings": tuple(_warnings(request))})


def _warnings(request: Request) -> Iterator[str]:
    """Yield a warning for each option that was changed or that has no effect on any photo.

    `restore.pipelines.unused` finds the options that have no effect on some steps.
    """
    if request.task == INSPECT_TASK:
        for name in sorted(request.given.difference(INSPECT_OPTIONS)):
            yield f"{name} has no effect: it is not an option of {INSPECT_TASK}"
        return
    shared = request.options["upscale"]  # every task has these options, with the same values
    tile_px = shared.tile_size
    if tile_px is not None and 0 < tile_px < MIN_TILE_PX:
        yield f"tile_size was raised from {tile_px} to {MIN_TILE_PX}, the smallest tile"
    if "steps" in request.given and request.task != PIPELINE_TASK:
        yield f"steps has no effect: it is an option of {PIPELINE_TASK}, not of {request.task}"
    if "output_quality" in request.given and request.output.output_format == "png":
        yield "output_quality has no effect: png is lossless"
    if shared.strength == 0:
        yield "strength is 0: the results of the networks are not used"
    backend = request.run.compile_backend
    if request.run.stability_mode == "safe" and backend not in {"auto", "none"}:
        yield f"compile_backend {backend} has no effect: stability_mode is safe"


def _check_sizes(inputs: Mapping[str, object]) -> None:
    """Refuse more than one option that states the size of the result.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    given = [name for name in SIZE_OPTIONS if inputs.get(name) is not None]
    if len(given) > 1:
        reason = f"{' and '.join(given)} both state the size of the result"
        raise RestoreError(Code.OPTION_INVALID, reason, f"Use one of {', '.join(SIZE_OPTIONS)}.")


def _check_names(task: str, inputs: Mapping[str, object]) -> None:
    """Refuse names that no task has, with the most similar name, if there is one.

    Raises:
        RestoreError: OPTION_UNKNOWN.
    """
    known = frozenset[str]().union(*(group.names() for group in GROUPS))
    older = {alias.name: alias.option for alias in aliases_for(task)}
    for name in inputs:
        if name in known:
            continue
        if name in INPUT_ORDER:
            remedy = (
                "In Python, pass the photos as the second argument of Restorer.run, and mask images"
                " as its argument masks."
            )
        elif name in SETTINGS:
            remedy = f"In Python, {name} is an argument of Restorer."
        elif similar := nearest_name(name, (*INPUT_ORDER, *older)):
            remedy = f"Did you mean {older.get(similar, similar)}?"
        else:
            command = task.replace("_", "-")
            remedy = f"`restore {command} --help` and docs/inputs.md list the inputs of {task}."
        reason = f"there is no input named '{name[:MAX_SHOWN_CHARACTERS]}'"
        raise RestoreError(Code.OPTION_UNKNOWN, reason, remedy)
