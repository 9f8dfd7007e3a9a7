"""A validated request: its task, its steps and the options of all tasks."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from restore.errors import Code, RestoreError
from restore.options.base import Options
from restore.options.general import OutputOptions, PipelineOptions, RunOptions, parse_steps
from restore.options.names import PIPELINE_TASK, Step, Task, check_task
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
}
"""Catalog tasks whose checkpoints a task needs with its default options."""


class Request(BaseModel):
    """A validated request without its photos.

    Attributes:
        steps: the tasks to run in order: one, unless the task is `pipeline`. Empty if the steps are
            to be proposed for each photo.
        options: the options of every task.
    """

    model_config = ConfigDict(frozen=True)

    task: Task
    steps: tuple[Step, ...]
    options: dict[Step, Any]
    output: OutputOptions
    run: RunOptions

    @classmethod
    def from_inputs(cls, task: str, inputs: Mapping[str, object]) -> Self:
        """Validate a task name and a flat mapping of options.

        Each task uses its own options, but all of them are validated: a value that is never allowed
        is refused even if the task does not use it.

        Raises:
            RestoreError: OPTION_INVALID (task or value), OPTION_UNKNOWN (no task has the option).
        """
        check_task(task)
        _check_names(inputs)
        options = {name: group.from_inputs(inputs) for name, group in TASK_OPTIONS.items()}
        pipeline_steps = parse_steps(PipelineOptions.from_inputs(inputs).steps)
        steps = pipeline_steps if task == PIPELINE_TASK else (task,)
        return cls.model_validate(
            {
                "task": task,
                "steps": () if steps == ("auto",) else steps,
                "options": options,
                "output": OutputOptions.from_inputs(inputs),
                "run": RunOptions.from_inputs(inputs),
            }
        )


def _check_names(inputs: Mapping[str, object]) -> None:
    known = frozenset[str]().union(*(group.names() for group in GROUPS))
    for name in inputs:
        if name in known:
            continue
        similar = difflib.get_close_matches(name, known, n=1)
        remedy = (
            f"Did you mean {similar[0]}?"
            if similar
            else f"The options are {', '.join(sorted(known))}."
        )
        raise RestoreError(Code.OPTION_UNKNOWN, f"there is no option named '{name}'", remedy)
