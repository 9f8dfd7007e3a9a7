"""inpaint: LaMa (Suvorov et al., WACV 2022) fills the holes of a photo; what lies outside them is not touched.

Follows the official predict.py where it decides pixels: photo and mask padded symmetrically at right and bottom, the hole blacked
out, the fill taken as it is where the mask is. Large photos are not seen whole: each hole, or neighbours together, on a crop.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.errors import Code, RestoreError
from restore.imaging.convert import to_rgb
from restore.imaging.photo import Photo
from restore.models.adapters.base import InpaintAdapter
from restore.models.catalog import Checkpoint
from restore.models.loader import Model
from restore.options import InpaintOptions
from restore.pipelines.context import StepContext
from restore.pipelines.rules import PixelRules
from restore.pipelines.sizes import check_same_size
from restore.runtime.memory import affordable_tile, free_memory_bytes
from restore.runtime.output_checks import checked_output
from restore.runtime.tensors import to_batch

WHOLE_FRAME_PX = 1280  # of the longer side: up to it a photo is seen whole, as officially
MIN_CROP_PX = 512
MIN_CONTEXT_PX = 64
MAX_CROP_PX = 2048  # of the longer side: above it the network sees the crop reduced

Box = tuple[slice, slice]
"""Rows and columns."""


def run_inpaint(photo: Photo, options: InpaintOptions, context: StepContext) -> Photo:
    """Fills a photo where `context.mask` is True; every other pixel, and alpha, comes back bit for bit.

    Raises:
        RestoreError: MASK (none, of another size, or all of the photo), OUT_OF_MEMORY, BAD_NUMBERS.
    """
    mask = checked_mask(photo, context)
    if mask.shape != photo.pixels.shape[:2]:
        reason = f"the mask has {mask.shape[1]}x{mask.shape[0]} pixels, the photo {photo.width}x{photo.height}"
        raise RestoreError(Code.MASK, reason, "Send a mask of the photo's size.")
    if not mask.any():
        context.report.warn(
            "the mask is empty (only what is lighter than half of white counts): there was nothing to fill"
        )
        return photo
    result = photo.pixels.copy()
    with context.report.stage("net"), torch.inference_mode():
        for hole in holes_of(mask, context):
            fill = filled(photo.pixels[hole.window], mask[hole.window], context)
            put(result[hole.window], hole.own, fill, options.strength, context.rules)
    return photo.with_pixels(result, photo.alpha)


def check_inpaint(
    photo: Photo, options: InpaintOptions, output_format: str, context: StepContext
) -> None:
    """Refuses, before any work, a photo without a usable mask, or one that the output format cannot hold.

    Raises:
        RestoreError: MASK, OUTPUT_TOO_LARGE.
    """
    checked_mask(photo, context)
    check_same_size(photo, options, output_format, context)


def checked_mask(photo: Photo, context: StepContext) -> np.ndarray:
    """The context's mask, which leaves something of the photo.

    Raises:
        RestoreError: MASK.
    """
    if context.mask is None:
        remedy = "Send mask or masks, pictures that are white where the photo is to be filled, or points, polygons as JSON."
        raise RestoreError(Code.MASK, "there is no mask", remedy, photo=photo.name)
    if context.mask.all():
        remedy = "Leave some of the photo black in the mask: the fill is made of what is left. White is what will be filled."
        raise RestoreError(Code.MASK, "the mask covers all of it", remedy, photo=photo.name)
    return context.mask


@dataclass(frozen=True)
class Hole:
    """One hole, or several, that the network fills in one call.

    Attributes:
        window: what of the photo the network sees.
        own: bool, of the window's size: what of it this call fills. Other holes in sight are hidden from the network as well.
    """

    window: Box
    own: np.ndarray


def holes_of(mask: np.ndarray, context: StepContext) -> Iterator[Hole]:
    """A mask's holes with their windows: one of all the photo for a small photo, else as few as reach.

    Every hole has at each side at least its own width or height of context, as far as the photo goes. The largest hole opens a
    window and takes along those whose own windows lie within; then the largest that is left.
    """
    height, width = mask.shape
    if max(height, width) <= WHOLE_FRAME_PX:
        context.progress("holes", 0, 1)
        yield Hole(np.s_[0:height, 0:width], mask)
        return
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=8
    )
    starts_x, ends_x = _with_context(
        boxes[1:, cv2.CC_STAT_LEFT], boxes[1:, cv2.CC_STAT_WIDTH], width
    )
    starts_y, ends_y = _with_context(
        boxes[1:, cv2.CC_STAT_TOP], boxes[1:, cv2.CC_STAT_HEIGHT], height
    )
    left = np.argsort(
        (starts_x - ends_x) * (ends_y - starts_y), kind="stable"
    )  # largest window first
    while left.size:
        context.progress("holes", count - 1 - left.size, count - 1)
        first = left[0]
        (x0, x1), (y0, y1) = (
            _widened(starts_x[first], ends_x[first], width),
            _widened(starts_y[first], ends_y[first], height),
        )
        within = (
            (starts_x[left] >= x0)
            & (ends_x[left] <= x1)
            & (starts_y[left] >= y0)
            & (ends_y[left] <= y1)
        )
        taken = np.zeros(count, np.bool_)
        taken[left[within] + 1] = True  # label 0 is what is no hole
        window = np.s_[y0:y1, x0:x1]
        yield Hole(window, taken[labels[window]])
        left = left[~within]


def filled(pixels: np.ndarray, hidden: np.ndarray, context: StepContext) -> np.ndarray:
    """What the network sees in place of `hidden`.

    Args:
        pixels: HxW[x3] integers.
        hidden: HxW bool.

    Returns:
        HxW[x3] float32, nominally in [0, 1]; of use where `hidden` is True.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    model, (height, width) = context.models["inpaint"], hidden.shape
    image: np.ndarray = to_rgb(pixels).astype(np.float32) / np.iinfo(pixels.dtype).max
    mask: np.ndarray = hidden.astype(np.float32)
    limit_px = most_px(height, width, model.row, context)
    if max(height, width) > limit_px:
        share = limit_px / max(height, width)
        size = (max(1, round(width * share)), max(1, round(height * share)))
        context.report.warn(
            f"a hole needs {width}x{height} pixels around it: it was filled at {size[0]}x{size[1]}, and is softer for that"
        )
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        # A pixel with any of the hole in it is hidden: nothing of what is to vanish may shine through.
        mask = (cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 0).astype(np.float32)
    answer = predict_fill(
        padded(image, model.row.size_multiple),
        padded(mask[..., None], model.row.size_multiple),
        model,
        context,
    )
    # What the hole hides may be all that varies: a plain wall is rightly filled plain.
    answer = checked_output(answer, torch.from_numpy(image[mask == 0]), model.row.file)
    fill = np.ascontiguousarray(
        answer[0, :, : image.shape[0], : image.shape[1]].permute(1, 2, 0).float().cpu().numpy()
    )
    if fill.shape[:2] != (height, width):
        fill = cv2.resize(fill, (width, height), interpolation=cv2.INTER_CUBIC)
    return fill if pixels.ndim == 3 else cv2.cvtColor(fill, cv2.COLOR_RGB2GRAY)


def most_px(height: int, width: int, row: Checkpoint, context: StepContext) -> int:
    """The longer side up to which a crop is seen at its own size: MAX_CROP_PX, or less where memory is short."""
    if not row.working_bytes_per_px:
        return MAX_CROP_PX
    return affordable_tile(
        MAX_CROP_PX,
        height,
        width,
        row.working_bytes_per_px,
        free_memory_bytes(context.runtime.device),
    )


def padded(image: np.ndarray, multiple: int) -> np.ndarray:
    """HxWxC continued by its mirror image at right and bottom to multiples of `multiple`, as officially, and to two of them at least.

    LaMa mirrors one pixel of its coarsest level, which must therefore have two; the official code fails where it has one.
    """
    rows, columns = (
        max(2 * multiple, -(-side // multiple) * multiple) - side for side in image.shape[:2]
    )
    return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="symmetric")


def predict_fill(
    image: np.ndarray, mask: np.ndarray, model: Model, context: StepContext
) -> Tensor:
    """Call the network.

    Args:
        image: HxWx3 float32 RGB in [0, 1].
        mask: HxWx1 float32, 1 in the hole.
        model: the inpainting network.
        context: its device is used.

    Returns:
        1x3xHxW on the device.
    """
    photo, hole = (to_batch([array], context.runtime.device) for array in (image, mask))
    return model.adapter_of_kind(InpaintAdapter).fill(model.net, photo, hole)


def put(
    photo: np.ndarray, hole: np.ndarray, fill: np.ndarray, strength: float, rules: PixelRules
) -> None:
    """Writes `strength` of the fill (float, nominally in [0, 1]) over the photo's integers, in the hole alone."""
    full = np.iinfo(photo.dtype).max
    levels = (
        strength * np.clip(fill[hole].astype(np.float64), 0.0, 1.0) * full
        + (1.0 - strength) * photo[hole]
    )
    photo[hole] = rules.round_levels(levels)


def _with_context(
    starts: np.ndarray, sizes: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of windows along one axis: a hole's own size more at both sides, and at least MIN_CONTEXT_PX."""
    reach = np.maximum(sizes, MIN_CONTEXT_PX)
    return np.maximum(starts - reach, 0), np.minimum(starts + sizes + reach, length)


def _widened(start: int, end: int, length: int) -> tuple[int, int]:
    """A window of at least MIN_CROP_PX around the same centre, moved into the photo."""
    size = max(end - start, min(MIN_CROP_PX, length))
    start = min(max((start + end - size) // 2, 0), length - size)
    return int(start), int(start + size)
