"""Descriptions of all inputs, for the Cog schema, the command line and the documentation."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from restore.options.base import Options, bounds_of, choices_of, value_type_of
from restore.options.general import OutputOptions, PipelineOptions, RunOptions
from restore.options.names import (
    INSPECT_TASK,
    MAX_PHOTOS,
    PIPELINE_TASK,
    STEPS,
    check_task,
)
from restore.options.tasks import TASK_OPTIONS

OptionGroup = Literal["task", "output", "run"]

INPUT_ORDER = (
    "task",
    "image",
    "images",
    "face_model",
    "codeformer_fidelity",
    "face_upscale",
    "face_detector",
    "only_center_face",
    "min_face_px",
    "keep_color",
    "has_aligned",
    "background_enhance",
    "face_enhance",
    "upscale_variant",
    "scale",
    "target_px",
    "target_mp",
    "denoise_strength",
    "grain",
    "restore_variant",
    "colorize_variant",
    "render_factor",
    "colors_variant",
    "old_photo_variant",
    "with_scratch",
    "with_face",
    "scratch_threshold",
    "old_photo_hr",
    "return_mask",
    "inpaint_variant",
    "points",
    "mask",
    "masks",
    "steps",
    "tile_size",
    "strength",
    "runtime_profile",
    "stability_mode",
    "compile_backend",
    "output_format",
    "output_quality",
    "keep_gps",
    "harm_check",
    "face_points",
    "max_megapixels",
    "record_steps",
    "faces",
    "saturation",
)
"""The order of all inputs in the Cog schema, on the command line and in the documentation."""

INSPECT_OPTIONS = ("face_model", "face_detector", "min_face_px", "points", "max_megapixels")
"""The options of other tasks that `inspect` uses: what they change in the proposed steps."""


@dataclass(frozen=True)
class OptionInfo:
    """What a user interface has to know about an option.

    Attributes:
        type: Python type of its values.
        optional: whether it may be left unset (None), which is then its default.
        choices: allowed values, or () if all values between the bounds are allowed.
        minimum, maximum: bounds, inclusive; None means no bound.
        group: "task" for what the task does, "output" for how results are written, "run" for how
            they are computed.
    """

    name: str
    type: builtins.type[bool | int | float | str]
    optional: bool
    choices: tuple[str, ...]
    minimum: float | None
    maximum: float | None
    default: bool | int | float | str | None
    description: str
    group: OptionGroup


@dataclass(frozen=True)
class PhotoInput:
    """An input of a request that is a photo, or a list of photos.

    Attributes:
        several: whether it is a list.
        tasks: the tasks that use it.
    """

    name: str
    several: bool
    description: str
    tasks: tuple[str, ...] = STEPS


PHOTO_INPUTS: tuple[PhotoInput, ...] = (
    PhotoInput(
        "image",
        False,
        "One photo: JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF, up to 32 MiB and 50 megapixels.",
    ),
    PhotoInput(
        "images",
        True,
        f"Up to {MAX_PHOTOS} photos; image and images together may hold at most {MAX_PHOTOS}.",
    ),
    PhotoInput(
        "mask",
        False,
        "Image of the size of the photo that marks the hole to fill: white on black, or paint of "
        "any colour on a transparent layer.",
        tasks=("inpaint",),
    ),
    PhotoInput(
        "masks",
        True,
        "One mask for all photos, or one mask for each photo in the same order.",
        tasks=("inpaint",),
    ),
)


TASK_SUMMARIES: Mapping[str, str] = {
    "face_restore": "Restore the faces in photos",
    "enhance": "Enlarge photos and restore the faces in them",
    "upscale": "Enlarge photos",
    "restore": "Remove noise or motion blur",
    "colorize": "Give colours to black-and-white photos",
    "old_photo_restore": "Repair old photos: scratches, noise and faces",
    "inpaint": "Fill the holes that a mask or polygons mark",
    "colors": "Correct faded colours and casts",
    "pipeline": "Run several steps; without `steps`, those that each photo needs",
    "inspect": "Show the steps that photos seem to need, and their faces; change nothing",
}
"""What each task does, as a sentence without its full stop."""


def takes_masks(task: str) -> bool:
    """Return whether a request of a task may have masks: `pipeline` and `inspect` may, too."""
    mask = next(photo for photo in PHOTO_INPUTS if photo.name == "mask")
    return task in {*mask.tasks, PIPELINE_TASK, INSPECT_TASK}


def describe_options(task: str) -> tuple[OptionInfo, ...]:
    """Describe the options that a task uses; `pipeline` uses those of all tasks.

    `inspect` has no options of its own, and its results have no options of output and run.

    Args:
        task: one of `TASKS`.

    Raises:
        RestoreError: OPTION_INVALID for a task that does not exist.
    """
    check_task(task)
    if task == INSPECT_TASK:
        every = describe_options(PIPELINE_TASK)
        return tuple(option for option in every if option.name in INSPECT_OPTIONS)
    groups: list[tuple[type[Options], OptionGroup]] = [
        (options, "task") for step, options in TASK_OPTIONS.items() if task in {step, PIPELINE_TASK}
    ]
    if task == PIPELINE_TASK:
        groups.append((PipelineOptions, "task"))
    groups += [(RunOptions, "run"), (OutputOptions, "output")]
    infos = {
        name: _describe(options, name, group)
        for options, group in groups
        for name in options.model_fields
    }
    return in_input_order(infos.values())


class Named(Protocol):
    """The description of an option or of another input."""

    @property
    def name(self) -> str:
        """The name of the input."""


NamedT = TypeVar("NamedT", bound=Named)


def in_input_order(described: Iterable[NamedT]) -> tuple[NamedT, ...]:
    """Sort descriptions of inputs as in INPUT_ORDER.

    Raises:
        ValueError: INPUT_ORDER lacks an input, which would exist nowhere.
    """
    by_name = {one.name: one for one in described}
    if missing := sorted(by_name.keys() - set(INPUT_ORDER)):
        raise ValueError(f"INPUT_ORDER lacks {', '.join(missing)}: add it where it is to be shown")
    return tuple(by_name[name] for name in INPUT_ORDER if name in by_name)


def tasks_using(name: str) -> tuple[str, ...]:
    """Return the tasks that use an option, in the order of `TASKS`.

    `pipeline` uses the options of all tasks; it is named only for the options of its own.
    """
    tasks = tuple(step for step, options in TASK_OPTIONS.items() if name in options.model_fields)
    if not tasks and name in PipelineOptions.model_fields:
        return (PIPELINE_TASK,)
    return tasks or STEPS


def _describe(options: type[Options], name: str, group: OptionGroup) -> OptionInfo:
    field = options.model_fields[name]
    value_type, optional = value_type_of(options, name)
    minimum, maximum = bounds_of(options, name)
    return OptionInfo(
        name=name,
        type=value_type,
        optional=optional,
        choices=choices_of(options, name),
        minimum=minimum,
        maximum=maximum,
        default=field.default,
        description=field.description or "",
        group=group,
    )
