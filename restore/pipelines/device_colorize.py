"""colorize on a device: the colours are predicted and merged without a copy to the host.

Only a reduced photo is downloaded, in which the paper is looked for. For photos with the profile of
another space than sRGB, the predicted colours are converted on the host, too.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.faces.device_changes import classify_tone_on_device
from restore.imaging.colour import srgb_to_space
from restore.imaging.device_colour import lightness_of, multiply_chroma, rgb_of
from restore.imaging.device_photo import DevicePhoto
from restore.imaging.device_resize import blend_photos
from restore.imaging.paper import FADE_LEVELS, paper_of_small, paper_size
from restore.models.adapters.base import ColorizeAdapter
from restore.options import ColorizeOptions
from restore.pipelines.colorize import choose_interpolation, choose_side_px, to_colour_space
from restore.pipelines.colorize_windows import join_windows, split_into_windows
from restore.pipelines.context import StepContext
from restore.runtime.levels import luminance, to_levels
from restore.runtime.output_checks import checked_output
from restore.runtime.resampling import resize_planes
from restore.runtime.transfers import download, upload


def colorize_on_device(
    photo: DevicePhoto, options: ColorizeOptions, context: StepContext
) -> DevicePhoto:
    """Colour a photo; see `run_colorize`.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    side_px = choose_side_px(classify_tone_on_device(photo), options, context)
    if options.strength == 0.0:
        return photo
    with context.report.stage("net"), torch.inference_mode():
        ab = _predict_ab(photo, side_px, context)
    with context.report.stage("merge"):
        mode = context.rules.ab_interpolation
        enlarged = F.interpolate(ab, size=(photo.height, photo.width), mode=mode)
        merged = merge_on_device(photo, enlarged, options.saturation)
        coloured = photo.with_levels(merged, photo.alpha)
    return blend_photos(coloured, photo, options.strength)


def merge_on_device(photo: DevicePhoto, ab: Tensor, saturation: float) -> Tensor:
    """Replace the colours of a photo; lightness is kept, and paper, white and black stay grey.

    Args:
        photo: the photo.
        ab: 1x2xHxW in Lab units.
        saturation: factor of the chroma.

    Returns:
        1x3xHxW integers of the type of the photo.
    """
    rgb, full = photo.rgb_unit(), photo.largest
    grey = luminance(rgb * full).round()
    from_end = torch.minimum(grey, full - grey) * (255 / full / FADE_LEVELS)
    weights = from_end.clamp_max(1.0) * (1 - _find_paper(photo))
    lightness, colours = lightness_of(rgb), ab * weights
    if saturation != 1.0:
        colours = multiply_chroma(lightness, colours, saturation)
    merged = rgb_of(lightness, colours) * full
    if saturation == 0.0:
        merged = merged[:, 1:2].expand_as(merged)  # rounding may differ between the channels
    # The conversion through Lab may be off by a level.
    return to_levels(torch.where(weights == 0, grey, merged), photo.levels)


def _predict_ab(photo: DevicePhoto, side_px: int, context: StepContext) -> Tensor:
    """Return the predicted colours: 1x2xSxT ab in Lab units of the photo's colour space."""
    model, unit = context.models["colorize"], photo.unit()
    adapter = model.adapter_of_kind(ColorizeAdapter)
    matrix, predictions = srgb_to_space(photo.icc), list[Tensor]()
    for rows, columns in split_into_windows(photo.width, photo.height, adapter.max_aspect):
        part = unit[..., rows, columns]
        interpolation = choose_interpolation(
            part.shape[-1], part.shape[-2], side_px, adapter.reduction
        )
        lightness = lightness_of(resize_planes(part, (side_px, side_px), interpolation))
        inputs = adapter.to_input_on_device(lightness)
        ab = checked_output(adapter.predict_ab(model.net, inputs).float(), inputs, model.row.file)
        if matrix is not None:
            ab = to_colour_space(ab, download(lightness[0]).transpose(1, 2, 0), matrix)
        predictions.append(ab)
    return join_windows(predictions, is_wide=photo.width >= photo.height)


def _find_paper(photo: DevicePhoto) -> Tensor:
    """Return 1x1xHxW, 1 in the paper around a photo and 0 in the photo; see `find_paper`."""
    size = paper_size(photo.width, photo.height)
    small = to_levels(resize_planes(photo.levels.float(), size, cv2.INTER_AREA), photo.levels)
    pixels = np.ascontiguousarray(download(small[0].permute(1, 2, 0)))
    paper = paper_of_small(pixels[..., 0] if photo.is_grey else pixels)
    planes = upload(paper, photo.levels.device)[None, None].float()
    return resize_planes(planes, (photo.width, photo.height), cv2.INTER_LINEAR).round() / 255
