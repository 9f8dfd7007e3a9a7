"""upscale on a device: the photo is enlarged, corrected and resized without leaving it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from restore.imaging.device_levels import keep_levels
from restore.imaging.device_photo import DevicePhoto, download_photo, upload_photo
from restore.imaging.device_resize import blend_photos, resize_photo
from restore.imaging.reduce import reduce_photo
from restore.options import UpscaleOptions, UpscalerOptions
from restore.pipelines.cleanness import middle_of
from restore.pipelines.context import StepContext
from restore.pipelines.sizes import output_size
from restore.pipelines.tiles import run_network_on_device
from restore.pipelines.upscale import Enlargement, plan_enlargement
from restore.runtime.levels import largest_level, luminance
from restore.runtime.transfers import download


def upscale_on_device(
    photo: DevicePhoto, options: UpscaleOptions, context: StepContext
) -> DevicePhoto:
    """Enlarge a photo, alpha included, to exactly the size that the options state.

    See `run_upscale`.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    scale = options.scale_for(photo.width, photo.height)
    enlarged = enlarge_on_device(photo, scale, options, context)
    return blend_photos(enlarged, photo, options.strength)


def enlarge_on_device(
    photo: DevicePhoto, scale: float, options: UpscalerOptions, context: StepContext
) -> DevicePhoto:
    """Enlarge a photo by exactly `scale`, without blending; see `enlarge`.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    size = output_size(photo, scale, context.rules)
    if scale < 1:
        with context.report.stage("resize"):
            reduced = reduce_photo(download_photo(photo), size)
            return upload_photo(reduced, photo.levels.device)
    plan = plan_enlargement(lambda: middle_on_host(photo), scale, options, context)
    with context.report.stage("net"):
        levels = run_network_on_device(photo.levels, plan.net, plan.row, plan.tile_px, context)
        levels = keep_levels(levels, photo.levels)
        alpha = None if photo.alpha is None else _enlarge_alpha(photo.alpha, plan, context)
    with context.report.stage("resize"):
        return resize_photo(photo.with_levels(levels, alpha), size)


def middle_on_host(photo: DevicePhoto) -> np.ndarray:
    """Return the middle of a photo as HxW uint8 luminance of the host, at most 1024x1024.

    It is only copied if an earlier step has changed the photo.
    """
    rows, columns = middle_of(photo.height, photo.width)
    if photo.host_pixels is not None:
        return np.asarray(photo.host_pixels[rows, columns])
    levels = photo.levels[:, :, rows, columns].float() * (255 / photo.largest)
    return download(luminance(levels.round()).round().to(torch.uint8)[0, 0])


def _enlarge_alpha(alpha: Tensor, plan: Enlargement, context: StepContext) -> Tensor:
    """Enlarge 1x1xHxW alpha as a grey photo; fully opaque alpha stays exactly opaque."""
    if bool((alpha == largest_level(alpha)).all()):
        height, width = (side * plan.row.scale for side in alpha.shape[2:])
        return alpha[:, :, :1, :1].expand(1, 1, height, width).contiguous()
    enlarged = run_network_on_device(alpha, plan.alpha_net, plan.row, plan.tile_px, context)
    return keep_levels(enlarged, alpha)
