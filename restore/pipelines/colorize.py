"""colorize: predict the colours of a photo with DDColor (Kang et al., ICCV 2023).

The luminance is kept. Follows the official ColorizationPipeline: L of CIE Lab at full resolution,
ab from a square reduction of the photo. The lite network sees long photos in several squares.
Two faults are corrected: ab is enlarged smoothly instead of in blocks, and the paper around a
photo, white and black get no colour.
Colours outside of RGB are clipped, as OpenCV does officially too; with a `saturation` other than 1,
their chroma is reduced instead.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.faces.colour import Tone, classify_tone
from restore.imaging.colour import srgb_to_space
from restore.imaging.convert import to_grey, to_rgb
from restore.imaging.device_colour import multiply_chroma
from restore.imaging.paper import colour_weights, find_paper
from restore.imaging.photo import Photo
from restore.imaging.resize import blend_photos
from restore.models.adapters.base import ColorizeAdapter
from restore.models.loader import Model
from restore.options import ColorizeOptions
from restore.pipelines.colorize_windows import join_windows, split_into_windows
from restore.pipelines.context import StepContext
from restore.runtime.output_checks import checked_output
from restore.runtime.tensors import to_batch

DEFAULT_RENDER_FACTOR = 35
"""The render factor at which a network gets the input size that it was trained with."""

MIN_RENDER_FACTOR = 18
"""The render factor that gives the smallest input size; smaller factors give the same."""

SIDE_MULTIPLE_PX = 32
BAND_ROWS = 512
"""Rows that are converted to float at once, which bounds the memory."""


def run_colorize(photo: Photo, options: ColorizeOptions, context: StepContext) -> Photo:
    """Colour a photo; the colours of a photo in colour are replaced, with a warning.

    At a strength of 0 there is nothing to do: the photo itself is returned.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    if options.strength == 0.0:
        return photo
    model, pixels = context.models["colorize"], to_rgb(photo.pixels)
    side_px = choose_side_px(classify_tone(pixels), options, context)
    with context.report.stage("net"), torch.inference_mode():
        windows = split_into_windows(photo.width, photo.height, _adapter(model).max_aspect)
        matrix = srgb_to_space(photo.icc)
        predictions = [
            _predict_window(pixels[window], side_px, matrix, model, context) for window in windows
        ]
        ab = join_windows(predictions, is_wide=photo.width >= photo.height)
    with context.report.stage("merge"):
        mode = context.rules.ab_interpolation
        enlarged = F.interpolate(ab, size=pixels.shape[:2], mode=mode)[0]
        paper = find_paper(pixels) if context.rules.keeps_paper_neutral else None
        colours = enlarged.permute(1, 2, 0).cpu().numpy()
        result = merge_colours(pixels, colours, paper, options.saturation)
    return blend_photos(
        photo.with_pixels(result, photo.alpha),
        photo.with_pixels(pixels, photo.alpha),
        options.strength,
    )


def choose_side_px(tone: Tone, options: ColorizeOptions, context: StepContext) -> int:
    """Return the side of the network's input, and warn of what the request may not expect."""
    if tone == "colour":
        context.report.warn("this photo was in colour: its colours were replaced")
    training_px = context.models["colorize"].row.input_px or 512
    side_px = network_side_px(options.render_factor, training_px)
    if training_px * options.render_factor / DEFAULT_RENDER_FACTOR < training_px // 2:
        context.report.warn(
            f"render_factor {options.render_factor} has the effect of {MIN_RENDER_FACTOR}, the"
            f" smallest useful value: the network needs at least {side_px} pixels"
        )
    return side_px


def network_side_px(render_factor: int, training_px: int) -> int:
    """Return the side of the network's square input: proportional to the factor, a multiple of 32.

    Args:
        render_factor: 1 to 100; 35 gives `training_px`.
        training_px: the input size that the network was trained with.

    Returns:
        For 512: from 256 to 1472.
    """
    steps = round(training_px * render_factor / DEFAULT_RENDER_FACTOR / SIDE_MULTIPLE_PX)
    return min(max(steps * SIDE_MULTIPLE_PX, training_px // 2), training_px * 23 // 8)


def _predict_window(
    pixels: np.ndarray,
    side_px: int,
    matrix: np.ndarray | None,
    model: Model,
    context: StepContext,
) -> Tensor:
    """Predict the colours of a part of a photo: HxWx3 integers to 1x2xSxS ab in its space.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    to_lightness = exact_lightness_of if context.rules.has_exact_lightness else lightness_of
    lightness = to_lightness(shrink_to_square(pixels, side_px, _adapter(model).reduction))
    ab = predict_ab(lightness, model, context)
    return ab if matrix is None else to_colour_space(ab, lightness, matrix)


def shrink_to_square(
    pixels: np.ndarray, side_px: int, reduction: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """Resize a photo to a square; its aspect ratio is not kept.

    Args:
        pixels: HxWx3 integers.
        side_px: side of the square.
        reduction: interpolation of OpenCV; see `choose_interpolation`.

    Returns:
        SxSx3 float32 in [0, 1].
    """
    scaled = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    interpolation = choose_interpolation(pixels.shape[1], pixels.shape[0], side_px, reduction)
    return cv2.resize(scaled, (side_px, side_px), interpolation=interpolation)


def choose_interpolation(width: int, height: int, side_px: int, reduction: int) -> int:
    """Return the interpolation with which a photo is resized to a square.

    Returns:
        `reduction` if both sides are reduced, and bilinear otherwise.
    """
    return reduction if min(width, height) > side_px else cv2.INTER_LINEAR


def lightness_of(rgb: np.ndarray) -> np.ndarray:
    """Convert HxWx3 float32 RGB in [0, 1] to HxWx1 CIE lightness L, 0 to 100."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)[..., :1]


def predict_ab(lightness: np.ndarray, model: Model, context: StepContext) -> Tensor:
    """Call the network: SxSx1 L, 0 to 100, to 1x2xSxS ab in Lab units on the device.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    adapter = _adapter(model)
    inputs = to_batch([adapter.to_input(lightness)], context.runtime.device)
    return checked_output(adapter.predict_ab(model.net, inputs).float(), inputs, model.row.file)


def _adapter(model: Model) -> ColorizeAdapter:
    return model.adapter_of_kind(ColorizeAdapter)


def to_colour_space(ab: Tensor, lightness: np.ndarray, matrix: np.ndarray) -> Tensor:
    """Convert predicted colours from sRGB to the photo's space, in which they are merged.

    Args:
        ab: 1x2xSxS in Lab units.
        lightness: SxSx1, 0 to 100.
        matrix: from `srgb_to_space`.
    """
    lab = np.concatenate([lightness, ab[0].permute(1, 2, 0).cpu().numpy()], axis=-1)
    linear = cv2.cvtColor(lab, cv2.COLOR_LAB2LRGB) @ matrix.T.astype(np.float32)
    converted = cv2.cvtColor(np.clip(linear, 0.0, 1.0), cv2.COLOR_LRGB2LAB)[..., 1:]
    return torch.from_numpy(converted.transpose(2, 0, 1)[None].copy()).to(ab)


def merge_colours(
    pixels: np.ndarray, ab: np.ndarray, paper: np.ndarray | None, saturation: float
) -> np.ndarray:
    """Replace the colours of a photo; lightness is kept.

    Args:
        pixels: HxWx3 integers.
        ab: HxWx2 in Lab units.
        paper: HxW from `find_paper`: paper, white and black get no colour. None to colour them.
        saturation: factor of the chroma.
    """
    full, result = np.iinfo(pixels.dtype).max, np.empty_like(pixels)
    if pixels.dtype == np.uint16:
        to_lightness, from_lab = exact_lightness_of, exact_rgb_of
    else:
        to_lightness, from_lab = lightness_of, rgb_of
    for top in range(0, len(pixels), BAND_ROWS):
        band = np.s_[top : top + BAND_ROWS]
        lightness, colours = to_lightness(pixels[band].astype(np.float32) / full), ab[band]
        if paper is not None:
            grey = to_grey(pixels[band])
            weights = colour_weights(grey, paper[band])
            colours = colours * weights[..., None]
        if saturation != 1.0:
            colours = saturate(lightness, colours, saturation)
        rgb = from_lab(np.concatenate([lightness, colours], axis=-1))
        if saturation == 0.0:
            rgb = rgb[..., 1:2]  # rounding may differ between the channels
        result[band] = np.rint(rgb * full)
        if paper is not None:
            # The conversion through Lab may be off by a level.
            result[band][weights == 0] = grey[weights == 0][:, None]
    return result


def saturate(lightness: np.ndarray, ab: np.ndarray, saturation: float) -> np.ndarray:
    """Multiply the chroma of HxWx2 float32 ab with HxWx1 lightness; see `multiply_chroma`."""
    light, colours = (torch.from_numpy(each).permute(2, 0, 1)[None] for each in (lightness, ab))
    return multiply_chroma(light, colours, saturation)[0].permute(1, 2, 0).numpy()


def rgb_of(lab: np.ndarray) -> np.ndarray:
    """Convert HxWx3 float32 CIE Lab to RGB, clipped to [0, 1]."""
    return cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)


def exact_lightness_of(rgb: np.ndarray) -> np.ndarray:
    """Convert RGB to lightness as `lightness_of`, precise enough for 16 bits.

    OpenCV converts sRGB with interpolated tables that distinguish about 500 levels of grey. Its
    conversion of linear RGB is exact, so the sRGB curve (IEC 61966-2-1) is applied here.
    """
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return cv2.cvtColor(linear.astype(np.float32), cv2.COLOR_LRGB2LAB)[..., :1]


def exact_rgb_of(lab: np.ndarray) -> np.ndarray:
    """Convert HxWx3 float32 Lab to RGB as `rgb_of`; the inverse of `exact_lightness_of`."""
    linear = cv2.cvtColor(lab, cv2.COLOR_LAB2LRGB)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
