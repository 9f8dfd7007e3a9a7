"""restore: remove noise or motion blur with NAFNet (Chen et al., ECCV 2022)."""

from __future__ import annotations

import cv2
import numpy as np

from restore.imaging.convert import to_8_bits, to_grey
from restore.imaging.photo import Photo
from restore.imaging.resize import blend_pixels
from restore.options import RestoreOptions
from restore.pipelines.context import StepContext
from restore.pipelines.tiles import as_function, run_network

MAX_REDRAWN_SHARE = 0.25
"""Fraction of pixels that a deconvolution may change by more than REDRAWN_LEVELS. Photos with shake
of 7 to 21 pixels reach 0.18; fences, cloth and printed dots, whose repetition looks like shake, 0.3
to 1."""

REDRAWN_LEVELS = 40


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
    if unchanged_warning and redrawn_share(pixels, photo.pixels) > MAX_REDRAWN_SHARE:
        pixels = photo.pixels
    if unchanged_warning and np.array_equal(pixels, photo.pixels):
        context.report.warn(unchanged_warning)
    return photo.with_pixels(blend_pixels(pixels, photo.pixels, options.strength), photo.alpha)


def redrawn_share(result: np.ndarray, original: np.ndarray) -> float:
    """Return the fraction of pixels whose luminance changes by more than REDRAWN_LEVELS.

    Args:
        result, original: HxW or HxWx3 integers of the same shape.
    """
    grey, before = (to_grey(to_8_bits(pixels)) for pixels in (result, original))
    return float((cv2.absdiff(grey, before) > REDRAWN_LEVELS).mean())
