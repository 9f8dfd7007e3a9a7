"""restore: remove noise or motion blur with NAFNet (Chen et al., ECCV 2022)."""

from __future__ import annotations

import numpy as np

from restore.imaging.photo import Photo
from restore.imaging.resize import blend_pixels
from restore.options import RestoreOptions
from restore.pipelines.context import StepContext
from restore.pipelines.tiles import as_function, run_network


def run_restore(photo: Photo, options: RestoreOptions, context: StepContext) -> Photo:
    """Denoise or deblur a photo; alpha is not changed.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    with context.report.stage("net"):
        model = context.models["restore"]
        pixels = run_network(photo.pixels, as_function(model), model.row, options.tile_px, context)
        pixels = context.rules.keep_levels(pixels, photo.pixels)
    unchanged_warning = model.adapter.unchanged_warning
    if unchanged_warning and np.array_equal(pixels, photo.pixels):
        context.report.warn(unchanged_warning)
    return photo.with_pixels(blend_pixels(pixels, photo.pixels, options.strength), photo.alpha)
