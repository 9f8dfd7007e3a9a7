"""restore: NAFNet (Chen et al., ECCV 2022) removes noise or motion blur at the photo's own size."""

from __future__ import annotations

import numpy as np

from restore.imaging.photo import Photo, check_output
from restore.options import RestoreOptions
from restore.pipelines.job import Job, blended, module_net, tiled


def restore(photo: Photo, options: RestoreOptions, job: Job) -> Photo:
    """Denoises or deblurs a photo; alpha is carried over untouched.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    with job.report.stage("net"):
        model = job.models["restore"]
        pixels = tiled(photo.pixels, module_net(model), model.row, options.tile_px, job)
    if model.row.architecture == "LiteDeblur" and np.array_equal(pixels, photo.pixels):
        job.report.warn("no shake was found that explains this photo: it comes back as it is")
    pixels = blended(pixels, photo.pixels, options.strength, lambda image: image)
    return photo.with_pixels(pixels, photo.alpha)


def check(photo: Photo, options: RestoreOptions, output_format: str, job: Job) -> None:
    """Refuses, before any work, a photo that the output format cannot hold.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    check_output(photo.name, photo.width, photo.height, output_format)
