"""Output sizes, and the size checks that a request must pass before any photo is processed."""

from __future__ import annotations

import math

from restore.errors import Code, RestoreError
from restore.imaging.device_photo import DevicePhoto
from restore.imaging.limits import LIMITS, check_output_size
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.options import TaskOptions
from restore.pipelines.context import StepContext
from restore.pipelines.rules import PixelRules

DEFAULT_RULES = PixelRules()

MAX_NETWORK_OUTPUT_PIXELS = 4 * LIMITS.max_pixels_out
"""A network with a fixed factor may exceed the requested size (x4, then down to x2), up to this."""


def output_size(
    photo: Photo | DevicePhoto, scale: float, rules: PixelRules = DEFAULT_RULES
) -> tuple[int, int]:
    """Return the (width, height) of a photo enlarged by `scale`, rounded to whole pixels."""
    return rules.round_side(photo.width * scale), rules.round_side(photo.height * scale)


def check_same_size(
    photo: Photo, options: TaskOptions, output_format: str, context: StepContext
) -> None:
    """Check that the output format can hold a result of the photo's own size.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    check_output_size(photo.name, photo.width, photo.height, output_format)


def check_target_size(photo: Photo, scale: float, model: Model, output_format: str) -> str:
    """Check a result whose size the request states (target_px, target_mp).

    Args:
        photo: the photo before it is enlarged.
        scale: the factor to this size.
        model: the upscaler for this factor.
        output_format: jpg, png or webp.

    Returns:
        A warning if the network cannot enlarge that much or does not run at all, or an empty text.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    width, height = output_size(photo, scale)
    check_output_size(photo.name, width, height, output_format)
    if min(width, height) < LIMITS.min_side_px:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"the result would have {width}x{height} pixels, each side must have at least"
            f" {LIMITS.min_side_px}",
            "Use a larger target_px or target_mp.",
            photo=photo.name,
        )
    sizes = f"{photo.width}x{photo.height} to {width}x{height}"
    if scale < 1:
        return f"the photo was reduced from {sizes}, without the upscaling network"
    if scale > model.row.scale:
        return f"the network enlarges {model.row.scale} times; from {sizes}, the rest is resizing"
    return ""


def check_scaled_size(photo: Photo, scale: float, option_name: str, output_format: str) -> None:
    """Check that a photo enlarged by `scale` is within the pixel limit and fits the output format.

    Args:
        photo: the photo before it is enlarged.
        scale: the factor.
        option_name: the name of the option that sets the factor, for the message.
        output_format: jpg, png or webp.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE, naming the size and the largest allowed factor.
    """
    width, height = output_size(photo, scale)
    max_pixels = LIMITS.max_pixels_out
    if width * height > max_pixels:
        max_scale = math.floor(100 * (max_pixels / (photo.width * photo.height)) ** 0.5) / 100
        raise RestoreError(
            Code.OUTPUT_TOO_LARGE,
            f"{scale:g} times {photo.width}x{photo.height} is {width}x{height} ="
            f" {width * height / 1e6:.1f} megapixels, the limit is {max_pixels / 1e6:.0f}",
            f"Use a {option_name} of at most {max_scale:.2f}, or send a smaller photo."
            if max_scale >= 1
            else "Send a smaller photo.",
            photo=photo.name,
        )
    check_output_size(photo.name, width, height, output_format)


def check_network_output_size(photo: Photo, model: Model) -> None:
    """Check that the network's own output, at its fixed factor, is within the pixel limit.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    pixels = photo.width * photo.height * model.row.scale**2
    if pixels > MAX_NETWORK_OUTPUT_PIXELS:
        raise RestoreError(
            Code.OUTPUT_TOO_LARGE,
            f"this variant works at {model.row.scale} times {photo.width}x{photo.height}, which is"
            f" {pixels / 1e6:.0f} megapixels, the limit is {MAX_NETWORK_OUTPUT_PIXELS / 1e6:.0f}",
            "Send a smaller photo, or use x2plus with its official weights.",
            photo=photo.name,
        )
