"""The pipelines, one module per task, and the table of tasks that the engine runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from restore.imaging.device_photo import DevicePhoto
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.options import (
    BACKGROUND,
    COLORS,
    DDCOLOR,
    FACE,
    LAMA,
    NAFNET,
    OLD_PHOTO,
    UPSCALER,
    EnhanceOptions,
    FaceRestoreOptions,
    Step,
    UpscaleOptions,
    VariantChoice,
)
from restore.pipelines.colorize import run_colorize
from restore.pipelines.colors import run_colors
from restore.pipelines.context import StepContext, run_each_photo
from restore.pipelines.device_colorize import colorize_on_device
from restore.pipelines.device_faces import enhance_on_device, restore_faces_on_device
from restore.pipelines.device_restore import restore_on_device
from restore.pipelines.device_upscale import upscale_on_device
from restore.pipelines.enhance import run_enhance, run_upscale_or_enhance
from restore.pipelines.face_restore import check_face_restore, run_face_restore
from restore.pipelines.harm import Expected
from restore.pipelines.inpaint import check_inpaint, run_inpaint
from restore.pipelines.old_photo import run_old_photo_restore
from restore.pipelines.old_photo_lite import COMPANION_TASKS
from restore.pipelines.restore import run_restore
from restore.pipelines.sizes import check_same_size, output_size
from restore.pipelines.upscale import check_upscale, network_for_scale

DeviceRun = Callable[[Sequence[DevicePhoto], Any, Sequence[StepContext]], Iterable[DevicePhoto]]
"""Runs a step on photos that are on the device: as `TaskSpec.run`."""


def _same_size(photo: Photo, options: object) -> tuple[int, int]:
    return photo.width, photo.height


def _on_host_only(options: object) -> DeviceRun | None:
    return None


def _same_model(model: Model, options: object) -> Model:
    return model


@dataclass(frozen=True)
class TaskSpec:
    """What the engine knows of a task. Options are those of the task.

    Attributes:
        run: (photos, options, one context per photo) -> the restored photos, in
            order, each as soon as it is finished. Errors name the photo.
        check: (photo, options, output format, context) -> None; raises RestoreError if the photo
            cannot be processed. Called before any photo is processed.
        choices: (options) -> the networks that the request needs, the task's own first.
        expected: what the step changes outside of the areas that it records; see
            `restore.pipelines.harm`.
        output_size: (photo, options) -> (width, height) of the result.
        running_model: (model, options) -> the part of a loaded model that runs.
        run_on_device: (options) -> `run` for photos on the device; None if the step with these
            options runs on the host only.
        lite_companions: catalog tasks whose lite networks run beside the task's own lite network.
    """

    run: Callable[[Sequence[Photo], Any, Sequence[StepContext]], Iterable[Photo]]
    check: Callable[[Photo, Any, str, StepContext], None]
    choices: Callable[[Any], tuple[VariantChoice, ...]]
    expected: Expected = Expected.DETAIL
    output_size: Callable[[Photo, Any], tuple[int, int]] = _same_size
    running_model: Callable[[Model, Any], Model] = _same_model
    run_on_device: Callable[[Any], DeviceRun | None] = _on_host_only
    lite_companions: tuple[str, ...] = ()


def _face_restore_choices(options: FaceRestoreOptions) -> tuple[VariantChoice, ...]:
    enhances = options.background_enhance and not options.has_aligned
    return (FACE, BACKGROUND) if enhances else (FACE,)


def _upscale_choices(options: UpscaleOptions) -> tuple[VariantChoice, ...]:
    return (UPSCALER, FACE) if options.face_enhance else (UPSCALER,)


def _scaled_size(photo: Photo, options: EnhanceOptions) -> tuple[int, int]:
    return output_size(photo, options.scale_for(photo.width, photo.height))


def _upscaler_for_scale(model: Model, options: EnhanceOptions) -> Model:
    return network_for_scale(model, options.scale)


def _face_run_on_device(options: FaceRestoreOptions) -> DeviceRun | None:
    return None if options.has_aligned else restore_faces_on_device


def _upscale_run_on_device(options: UpscaleOptions) -> DeviceRun | None:
    return enhance_on_device if options.face_enhance else run_each_photo(upscale_on_device)


TASK_SPECS: Mapping[Step, TaskSpec] = MappingProxyType(
    {
        "face_restore": TaskSpec(
            run=run_face_restore,
            check=check_face_restore,
            choices=_face_restore_choices,
            output_size=lambda photo, options: output_size(photo, options.face_upscale),
            running_model=lambda model, options: network_for_scale(model, options.face_upscale),
            run_on_device=_face_run_on_device,
        ),
        "enhance": TaskSpec(
            run=run_enhance,
            check=check_upscale,
            choices=lambda options: (UPSCALER, FACE),
            output_size=_scaled_size,
            running_model=_upscaler_for_scale,
            run_on_device=lambda options: enhance_on_device,
        ),
        "upscale": TaskSpec(
            run=run_upscale_or_enhance,
            check=check_upscale,
            choices=_upscale_choices,
            output_size=_scaled_size,
            running_model=_upscaler_for_scale,
            run_on_device=_upscale_run_on_device,
        ),
        "restore": TaskSpec(
            run=run_each_photo(run_restore),
            check=check_same_size,
            choices=lambda options: (NAFNET,),
            run_on_device=lambda options: run_each_photo(restore_on_device),
        ),
        "colorize": TaskSpec(
            run=run_each_photo(run_colorize),
            check=check_same_size,
            choices=lambda options: (DDCOLOR,),
            expected=Expected.COLOUR,
            run_on_device=lambda options: run_each_photo(colorize_on_device),
        ),
        "old_photo_restore": TaskSpec(
            run=run_each_photo(run_old_photo_restore),
            check=check_same_size,
            choices=lambda options: (OLD_PHOTO,),
            expected=Expected.TONE,
            lite_companions=COMPANION_TASKS,
        ),
        "inpaint": TaskSpec(
            run=run_each_photo(run_inpaint),
            check=check_inpaint,
            choices=lambda options: (LAMA,),
            expected=Expected.NOTHING,
        ),
        "colors": TaskSpec(
            run=run_each_photo(run_colors),
            check=check_same_size,
            choices=lambda options: (COLORS,),
            expected=Expected.CAST,
        ),
    }
)
