"""Names of tasks, steps and choices, and the limits of a request."""

from __future__ import annotations

from typing import Literal, get_args

from restore.errors import Code, RestoreError
from restore.options.base import shortened
from restore.options.suggest import did_you_mean

Step = Literal[
    "face_restore",
    "enhance",
    "upscale",
    "restore",
    "colorize",
    "old_photo_restore",
    "inpaint",
    "colors",
]
Task = Literal[
    "face_restore",
    "enhance",
    "upscale",
    "restore",
    "colorize",
    "old_photo_restore",
    "inpaint",
    "colors",
    "pipeline",
    "inspect",
]
UpscaleVariant = Literal[
    "auto", "x4plus", "x4anime", "x2plus", "general_x4v3", "animevideov3", "lite", "lite_fidelity"
]
RestoreVariant = Literal["auto", "denoise", "deblur", "lite", "lite_deblur"]
FaceModel = Literal["auto", "codeformer", "gfpgan_v1.3", "gfpgan_v1.4", "restoreformer", "lite"]
FaceDetector = Literal["auto", "retinaface_resnet50", "retinaface_mobile0.25", "centerface", "dlib"]
ColorizeVariant = Literal["auto", "modelscope", "artistic", "paper_tiny", "lite"]
OldPhotoVariant = Literal["auto", "v1", "lite"]
InpaintVariant = Literal["auto", "big", "lite"]
ColorsVariant = Literal["auto", "lite"]
RuntimeProfile = Literal["baseline", "fast", "max_speed"]
StabilityMode = Literal["safe", "optimized"]
CompileBackend = Literal["auto", "none", "eager", "aot_eager", "inductor", "cudagraphs"]
OutputFormat = Literal["jpg", "png", "webp", "same"]

TASKS: tuple[Task, ...] = get_args(Task)
STEPS: tuple[Step, ...] = get_args(Step)
COMPILE_BACKENDS: tuple[str, ...] = get_args(CompileBackend)[1:]
PIPELINE_TASK: Task = "pipeline"
INSPECT_TASK: Task = "inspect"
"""Judges photos and changes nothing; it cannot be a step of a pipeline."""
DEFAULT_TASK: Task = "face_restore"
WORKS_OF_RESTORE = ("denoise", "deblur")
"""What the step `restore` can do; `steps=auto` proposes each of them as a step of its own."""
MAX_STEPS = 8
MAX_PHOTOS = 4
MIN_TILE_PX = 64
MIN_TARGET_PX, MAX_TARGET_PX = 16, 65_500
MIN_TARGET_MP, MAX_TARGET_MP = 0.001, 100
"""Sizes of a result; every format but webp can hold the longest side."""
MIN_MAX_MEGAPIXELS, MAX_MAX_MEGAPIXELS = 0.01, 50
"""Sizes to which large photos are reduced."""
SIZE_OPTIONS = ("scale", "target_px", "target_mp")
"""Options that state the size of a result, of which a request may give one."""


def check_task(name: object) -> None:
    """Refuse a task that does not exist, and a value that is no text.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    if not isinstance(name, str) or name not in TASKS:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"task is {shortened(name)}, which does not exist",
            f"{did_you_mean(name, TASKS)}Use one of {', '.join(TASKS)}.",
        )
