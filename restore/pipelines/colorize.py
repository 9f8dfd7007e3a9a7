"""colorize: DDColor (Kang et al., ICCV 2023) guesses the colours of a photo at its own size; the photo keeps its luminance.

Follows the official ColorizationPipeline where it decides pixels: L of CIE Lab at full resolution, ab from a square reduction of
the photo. One fault is mended: ab is brought to the photo's size smoothly, not in blocks. Colours beyond RGB are clipped, as
OpenCV does officially too.
"""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.faces.colour import tone
from restore.imaging.photo import Photo, check_output
from restore.models.loader import Model
from restore.nets.lite.colorize import AB_SCALE
from restore.options import ColorizeOptions
from restore.pipelines.job import Job, in_colour
from restore.pipelines.upscale import mixed
from restore.runtime.output_checks import sound

USUAL_FACTOR = 35  # the network's own size
SIDE_MULTIPLE_PX = 32

BAND_ROWS = 512  # rows of the photo in floats at a time


def colorize(photo: Photo, options: ColorizeOptions, job: Job) -> Photo:
    """Colours a photo; one that has colours already loses them first, with a warning.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    model, pixels = job.models["colorize"], in_colour(photo.pixels)
    if tone(pixels) == "colour":
        job.report.warn("this photo had colours: they were taken out before it was coloured anew")
    side_px = network_side_px(options.render_factor, model.row.input_px or 512)
    with job.report.stage("net"), torch.inference_mode():
        colours = predicted_ab(luminance_of(reduced(pixels, side_px)), model, job)
    with job.report.stage("merge"):
        mode = "nearest" if job.official_quirks else "bilinear"
        enlarged = (
            F.interpolate(colours, size=pixels.shape[:2], mode=mode)[0]
            .permute(1, 2, 0)
            .cpu()
            .numpy()
        )
        result = merged(pixels, enlarged)
    return mixed(
        photo.with_pixels(result, photo.alpha),
        photo.with_pixels(pixels, photo.alpha),
        options.strength,
    )


def check(photo: Photo, options: ColorizeOptions, output_format: str, job: Job) -> None:
    """Refuses, before any work, a photo that the output format cannot hold.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    check_output(photo.name, photo.width, photo.height, output_format)


def network_side_px(render_factor: int, own_px: int) -> int:
    """The square side at which a network sees the photo: its own at 35, proportional to the factor, a multiple of 32.

    For a network of 512 px it is 256 at least and 1472 at most.
    """
    side_px = round(own_px * render_factor / USUAL_FACTOR / SIDE_MULTIPLE_PX) * SIDE_MULTIPLE_PX
    return min(max(side_px, own_px // 2), own_px * 23 // 8)


def reduced(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """The photo as the network sees it: side x side x 3 float32 in [0, 1], the aspect not kept, bilinear."""
    return cv2.resize(
        pixels.astype(np.float32) / np.iinfo(pixels.dtype).max,
        (side_px, side_px),
        interpolation=cv2.INTER_LINEAR,
    )


def luminance_of(rgb: np.ndarray) -> np.ndarray:
    """HxWx3 float RGB in [0, 1] -> HxWx1 L of CIE Lab, 0 to 100."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., :1]


def predicted_ab(luminance: np.ndarray, model: Model, job: Job) -> Tensor:
    """SxSx1 L -> 1x2xSxS ab in Lab units on the device.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    if model.row.architecture == "LiteColorize":
        seen = as_tensor(luminance / 100.0, job)
        answer = model.net(seen) * AB_SCALE
    else:
        grey = cv2.cvtColor(
            np.concatenate(
                [luminance, np.zeros_like(luminance), np.zeros_like(luminance)], axis=-1
            ),
            cv2.COLOR_LAB2RGB,
        )
        seen = as_tensor(grey, job)
        try:
            answer = model.net(seen)
        finally:
            # The encoder hands its features over in hooks, which would keep them until the next photo.
            for hook in cast(Any, model.net).encoder.hooks:
                hook.feature = None
    return sound(answer.float(), seen, model.row.file)


def merged(pixels: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """HxWx3 integers and HxWx2 ab -> HxWx3 integers with the photo's luminance and these colours."""
    full, result = np.iinfo(pixels.dtype).max, np.empty_like(pixels)
    to_luminance, to_rgb = (
        (fine_luminance_of, fine_rgb_of) if pixels.dtype == np.uint16 else (luminance_of, rgb_of)
    )
    for top in range(0, len(pixels), BAND_ROWS):
        band = np.s_[top : top + BAND_ROWS]
        luminance = to_luminance(pixels[band].astype(np.float32) / full)
        result[band] = np.rint(to_rgb(np.concatenate([luminance, colours[band]], axis=-1)) * full)
    return result


def rgb_of(lab: np.ndarray) -> np.ndarray:
    """HxWx3 float32 CIE Lab -> HxWx3 RGB, clipped to [0, 1]."""
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def fine_luminance_of(rgb: np.ndarray) -> np.ndarray:
    """As `luminance_of`, for 16 bits: OpenCV's way from sRGB interpolates in tables that tell some 500 levels of grey apart.

    Its way from linear RGB does not; the curve before it is that of IEC 61966-2-1.
    """
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return cv2.cvtColor(linear.astype(np.float32), cv2.COLOR_LRGB2LAB)[..., :1]


def fine_rgb_of(lab: np.ndarray) -> np.ndarray:
    """As `rgb_of`, the way back of `fine_luminance_of`: all but a few in 65,536 levels of grey come back as they were."""
    linear = cv2.cvtColor(lab, cv2.COLOR_LAB2LRGB)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def as_tensor(image: np.ndarray, job: Job) -> Tensor:
    """SxSxC float32 -> 1xCxSxS on the device."""
    return (
        torch.from_numpy(np.ascontiguousarray(image, np.float32))
        .permute(2, 0, 1)[None]
        .to(job.runtime.device)
    )
