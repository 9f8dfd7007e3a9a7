"""Names of tasks, steps and choices, and the limits of a request."""

from __future__ import annotations

from typing import Literal, get_args

from restore.errors import Code, RestoreError
from restore.options.suggest import MAX_SHOWN_CHARACTERS, did_you_mean

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
FaceDetector = Literal["auto", "retinaface_resnet50", "retinaface_mobile0.25", "dlib"]
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
MAX_STEPS = 8
MAX_PHOTOS = 4
MIN_TILE_PX = 64


def check_task(name: str) -> None:
    """Refuse a task that does not exist.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    if name not in TASKS:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"task is '{name[:MAX_SHOWN_CHARACTERS]}', which does not exist",
            f"{did_you_mean(name, TASKS)}Use one of {', '.join(TASKS)}.",
        )
