"""upscale: Real-ESRGAN (Wang et al., ICCVW 2021) at the net's own factor, then Lanczos to the exact factor asked for.

Follows RealESRGANer.enhance where it decides pixels: colour and alpha through the net separately, grey as three equal
channels and back as luminance, rounding half to even, `outscale` by OpenCV's Lanczos on the rounded result.
"""

from __future__ import annotations

import dataclasses
import functools
import math

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.errors import Code, RestoreError
from restore.imaging.photo import LIMITS, Photo, check_output
from restore.models.catalog import Checkpoint
from restore.models.loader import Model, interpolated
from restore.nets.lite.upscale import LiteUpscale
from restore.options import EnhanceOptions, UpscaleOptions, UpscalerOptions
from restore.pipelines.job import Job, blended, module_net, tiled
from restore.runtime.tiling import Net

MAX_PIXELS_BETWEEN = 4 * LIMITS.max_pixels_out
"""The net's own result may be larger than what is asked for (x4, then down to x2), but not without end."""

DENOISE_PARTNER = "denoise_partner"
TWICE = "twice"
"""The role of a network that enlarges twice, beside one that works at four times."""

TILE_BYTES = 600e6  # of working memory, that a tile may take where the request names no size


def upscale(photo: Photo, options: UpscaleOptions, job: Job) -> Photo:
    """Enlarges a photo by exactly `options.scale`, its alpha with it.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    return mixed(enlarged(photo, options.scale, options, job), photo, options.strength)


def enlarged(photo: Photo, scale: float, options: UpscalerOptions, job: Job) -> Photo:
    """The photo `scale` times larger, nothing of the original mixed in; what stands behind restored faces too.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    model = suited(job.models["upscale"], scale)
    smooth = without_grain(model)
    net = prepared_net(options, model if options.grain else smooth)
    of_alpha = net if smooth is model else prepared_net(options, smooth)
    size = output_size(photo, scale)
    with job.report.stage("net"):
        tile_px = usual_tile_px(model.row, job) if options.tile_size is None else options.tile_px
        pixels = tiled(photo.pixels, net, model.row, tile_px, job)
        alpha = enlarged_alpha(photo.alpha, of_alpha, model.row, tile_px, job)
    with job.report.stage("resize"):
        return photo.with_pixels(
            resized(pixels, size), None if alpha is None else resized(alpha, size)
        )


def suited(model: Model, scale: float) -> Model:
    """The model itself, or its partner that enlarges twice where no more than that is asked for: a quarter of the work.

    Its weights are those of the one that runs.
    """
    net = model.partners.get(TWICE)
    if net is None:
        return model
    place = 1 + list(model.partner_rows).index(
        TWICE
    )  # weights are the network's own and its partners', in this order
    if scale > model.partner_rows[TWICE].scale:
        return dataclasses.replace(
            model, weights=model.weights[:place] + model.weights[place + 1 :]
        )
    own = model.weights[place : place + 1]
    return dataclasses.replace(
        model,
        row=model.partner_rows[TWICE],
        net=net,
        partners={},
        weights=own,
        compiled_shapes=frozenset(),
    )


def without_grain(model: Model) -> Model:
    """The model itself, or where it draws grain, what it draws that on."""
    return (
        dataclasses.replace(model, net=model.net.picture, compiled_shapes=frozenset())
        if isinstance(model.net, LiteUpscale)
        else model
    )


def mixed(result: Photo, original: Photo, strength: float) -> Photo:
    """strength * result + (1 - strength) * original, the original enlarged by Lanczos; alpha likewise."""
    if strength == 1.0:
        return result
    resize = functools.partial(resized, size=(result.width, result.height))
    alpha = result.alpha
    if alpha is not None and original.alpha is not None:
        alpha = blended(alpha, original.alpha, strength, resize)
    return result.with_pixels(blended(result.pixels, original.pixels, strength, resize), alpha)


def check(photo: Photo, options: EnhanceOptions, output_format: str, job: Job) -> None:
    """Refuses, before any work, a photo whose result would be too large for us or for the output format.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE, naming the size and the largest factor that would do.
    """
    check_result(photo, options.scale, "scale", output_format)
    check_between(photo, suited(job.models["upscale"], options.scale))


def check_result(photo: Photo, scale: float, named: str, output_format: str) -> None:
    """Refuses a photo that `scale`, an input of this name, makes too large for us or for the output format.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    width, height = output_size(photo, scale)
    limit = LIMITS.max_pixels_out
    if width * height > limit:
        reason = f"{scale:g} times {photo.width}x{photo.height} is {width}x{height} = {width * height / 1e6:.1f} megapixels"
        fits = math.floor(100 * (limit / (photo.width * photo.height)) ** 0.5) / 100
        remedy = (
            f"Use a {named} of at most {fits:.2f}, or send a smaller photo."
            if fits >= 1
            else "Send a smaller photo."
        )
        raise RestoreError(
            Code.OUTPUT_TOO_LARGE,
            f"{reason}, the limit is {limit / 1e6:.0f}",
            remedy,
            photo=photo.name,
        )
    check_output(photo.name, width, height, output_format)


def check_between(photo: Photo, model: Model) -> None:
    """Refuses a photo that the network itself, which works at its own factor, would make too large.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    between = photo.width * photo.height * model.row.scale**2
    if between > MAX_PIXELS_BETWEEN:
        limits = f"{between / 1e6:.0f} megapixels, the limit is {MAX_PIXELS_BETWEEN / 1e6:.0f}"
        reason = f"this variant works at {model.row.scale} times {photo.width}x{photo.height}, which is {limits}"
        raise RestoreError(
            Code.OUTPUT_TOO_LARGE,
            reason,
            "Send a smaller photo, or use x2plus with its official weights.",
            photo=photo.name,
        )


def output_size(photo: Photo, scale: float) -> tuple[int, int]:
    """(width, height) of the result: rounded down as Real-ESRGAN does, but 300 * 2.3 is 690, whatever floats make of it."""
    return int(photo.width * scale + 1e-6), int(photo.height * scale + 1e-6)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`image` at (width, height) by Lanczos, untouched where it has that size already."""
    if (image.shape[1], image.shape[0]) == size:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_LANCZOS4)


def usual_tile_px(row: Checkpoint, job: Job) -> int:
    """The tile where none is asked for: 512 pixels, or what TILE_BYTES suffice for, as tiles compute their overlap twice."""
    usual_px = UpscalerOptions.default_tile_px
    if job.runtime.compiles or not row.working_bytes_per_px:
        return usual_px
    return max(usual_px, int((TILE_BYTES / row.working_bytes_per_px) ** 0.5))


def enlarged_alpha(
    alpha: np.ndarray | None, net: Net, row: Checkpoint, tile_px: int, job: Job
) -> np.ndarray | None:
    """Alpha through the same net as a grey picture; an opaque one stays exactly opaque."""
    if alpha is None:
        return None
    if int(alpha.min()) == np.iinfo(alpha.dtype).max:
        return np.full(
            (alpha.shape[0] * row.scale, alpha.shape[1] * row.scale), alpha.flat[0], alpha.dtype
        )
    return tiled(alpha, net, row, tile_px, job)


def prepared_net(options: UpscalerOptions, model: Model) -> Net:
    """The network, its weights interpolated with the weak-denoise partner where the variant has one."""
    partner = model.partners.get(DENOISE_PARTNER)
    if partner is None or options.denoise_strength == 1.0:
        return module_net(model)
    weights = interpolated(model.net.state_dict(), partner.state_dict(), options.denoise_strength)

    def forward(tiles: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(model.net, weights, (tiles,))
        return output

    return forward
