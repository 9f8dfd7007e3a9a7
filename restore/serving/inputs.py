"""The inputs of the Cog predictor, derived from `restore.options`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from restore.options import (
    DEFAULT_TASK,
    PHOTO_INPUTS,
    PIPELINE_TASK,
    STEPS,
    TASKS,
    OptionInfo,
    PhotoInput,
    describe_options,
    in_input_order,
    tasks_using,
)

Kind = Literal["bool", "int", "float", "str", "photo", "photos"]
Value = TypeVar("Value", bool | int | float | str | None, float | None)


@dataclass(frozen=True)
class CogInput:
    """One input of predict.py and of the schema of a request.

    Attributes:
        optional: whether it may be left unset (None), which is then its default.
        choices: allowed values, or () if all values between the bounds are allowed.
        minimum, maximum: bounds, inclusive; None means no bound.
    """

    name: str
    kind: Kind
    description: str
    default: bool | int | float | str | None = None
    optional: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None


def cog_inputs() -> tuple[CogInput, ...]:
    """Return all inputs in the order of the schema."""
    inputs = [
        CogInput("task", "str", "What to do with the photos.", DEFAULT_TASK, choices=TASKS),
        *(_from_photo_input(photo_input) for photo_input in PHOTO_INPUTS),
        *(_from_option(option) for option in describe_options(PIPELINE_TASK)),
    ]
    return in_input_order(inputs)


def _from_photo_input(photo_input: PhotoInput) -> CogInput:
    return CogInput(
        name=photo_input.name,
        kind="photos" if photo_input.several else "photo",
        description=_with_tasks(photo_input.description, photo_input.tasks),
        optional=True,
    )


def _from_option(option: OptionInfo) -> CogInput:
    kinds: dict[type, Kind] = {bool: "bool", int: "int", float: "float", str: "str"}
    return CogInput(
        name=option.name,
        kind=kinds[option.type],
        description=_with_tasks(option.description, tasks_using(option.name)),
        default=_short(option.default),
        optional=option.optional,
        choices=option.choices,
        minimum=_short(option.minimum),
        maximum=_short(option.maximum),
    )


def _with_tasks(description: str, tasks: Sequence[str]) -> str:
    """Prefix a description with the tasks that use the input, unless all of them do."""
    return description if tuple(tasks) == STEPS else f"{', '.join(tasks)}: {description}"


def _short(value: Value) -> Value | int:
    """Turn 4.0 into 4, as one writes it in a schema."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
