"""Tasks, their options and their limits, validated in one place.

Every option has one name in a Cog request, on the command line and in Python. One flat mapping of
options serves all tasks: each task uses its own options and ignores the others.
"""

from restore.options.aliases import Alias, aliases_for
from restore.options.base import Options, bounds_of, choices_of
from restore.options.describe import (
    INPUT_ORDER,
    PHOTO_INPUTS,
    OptionInfo,
    PhotoInput,
    describe_options,
    takes_masks,
    tasks_using,
)
from restore.options.face_choice import FaceChoice, parse_faces
from restore.options.foreign import (
    TASK_OPTION_NAMES,
    foreign_option_warnings,
    foreign_reason,
)
from restore.options.general import OutputOptions, PipelineOptions, RunOptions, parse_steps
from restore.options.json_text import parse_face_points
from restore.options.names import (
    COMPILE_BACKENDS,
    DEFAULT_TASK,
    INSPECT_TASK,
    MAX_PHOTOS,
    MAX_STEPS,
    MIN_TILE_PX,
    PIPELINE_TASK,
    SIZE_OPTIONS,
    STEPS,
    TASKS,
    WORKS_OF_RESTORE,
    CompileBackend,
    OutputFormat,
    RuntimeProfile,
    StabilityMode,
    Step,
    Task,
)
from restore.options.request import CATALOG_TASKS, GROUPS, Request
from restore.options.shared import FaceOptions, TaskOptions, UpscalerOptions
from restore.options.tasks import (
    TASK_OPTIONS,
    ColorizeOptions,
    ColorsOptions,
    EnhanceOptions,
    FaceRestoreOptions,
    InpaintOptions,
    OldPhotoOptions,
    RestoreOptions,
    UpscaleOptions,
)
from restore.options.variants import (
    BACKGROUND,
    COLORS,
    DDCOLOR,
    FACE,
    LAMA,
    NAFNET,
    OLD_PHOTO,
    UPSCALER,
    VariantChoice,
)

__all__ = [
    "BACKGROUND",
    "CATALOG_TASKS",
    "COLORS",
    "COMPILE_BACKENDS",
    "DDCOLOR",
    "DEFAULT_TASK",
    "FACE",
    "GROUPS",
    "INPUT_ORDER",
    "INSPECT_TASK",
    "LAMA",
    "MAX_PHOTOS",
    "MAX_STEPS",
    "MIN_TILE_PX",
    "NAFNET",
    "OLD_PHOTO",
    "PHOTO_INPUTS",
    "PIPELINE_TASK",
    "SIZE_OPTIONS",
    "STEPS",
    "TASKS",
    "TASK_OPTIONS",
    "TASK_OPTION_NAMES",
    "UPSCALER",
    "WORKS_OF_RESTORE",
    "Alias",
    "ColorizeOptions",
    "ColorsOptions",
    "CompileBackend",
    "EnhanceOptions",
    "FaceChoice",
    "FaceOptions",
    "FaceRestoreOptions",
    "InpaintOptions",
    "OldPhotoOptions",
    "OptionInfo",
    "Options",
    "OutputFormat",
    "OutputOptions",
    "PhotoInput",
    "PipelineOptions",
    "Request",
    "RestoreOptions",
    "RunOptions",
    "RuntimeProfile",
    "StabilityMode",
    "Step",
    "Task",
    "TaskOptions",
    "UpscaleOptions",
    "UpscalerOptions",
    "VariantChoice",
    "aliases_for",
    "bounds_of",
    "choices_of",
    "describe_options",
    "foreign_option_warnings",
    "foreign_reason",
    "parse_face_points",
    "parse_faces",
    "parse_steps",
    "takes_masks",
    "tasks_using",
]
