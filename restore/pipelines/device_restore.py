"""restore on a device: noise or blur is removed without a copy to the host."""

from __future__ import annotations

from torch import Tensor

from restore.imaging.device_levels import keep_levels
from restore.imaging.device_photo import DevicePhoto
from restore.imaging.device_resize import blend_levels
from restore.options import RestoreOptions
from restore.pipelines.context import StepContext
from restore.pipelines.restore import MAX_REDRAWN_SHARE, REDRAWN_LEVELS
from restore.pipelines.tiles import as_function, run_network_on_device
from restore.runtime.levels import luminance, to_unit


def restore_on_device(
    photo: DevicePhoto, options: RestoreOptions, context: StepContext
) -> DevicePhoto:
    """Denoise or deblur a photo; alpha is not changed. See `run_restore`.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    model, before = context.models["restore"], photo.levels
    with context.report.stage("net"):
        net = as_function(model)
        levels = run_network_on_device(before, net, model.row, options.tile_px, context)
        levels = keep_levels(levels, before)
        if model.adapter.unchanged_warning:
            if redrawn_share(levels, before) > MAX_REDRAWN_SHARE:
                levels = before
            if bool((levels == before).all()):
                context.report.warn(model.adapter.unchanged_warning)
    return photo.with_levels(blend_levels(levels, before, options.strength), photo.alpha)


def redrawn_share(result: Tensor, original: Tensor) -> float:
    """Return the fraction of pixels whose luminance changes by more than REDRAWN_LEVELS.

    Args:
        result, original: 1xCxHxW integers of the same shape.
    """
    after, before = (luminance(to_unit(levels) * 255).round() for levels in (result, original))
    return float(((after - before).abs() > REDRAWN_LEVELS).float().mean())
