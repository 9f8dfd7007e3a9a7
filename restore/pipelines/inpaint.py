"""inpaint: fill the masked parts of a photo with LaMa (Suvorov et al., WACV 2022).

Follows the official predict.py: photo and mask are padded symmetrically at the right and bottom,
and the fill replaces the masked pixels. Large photos are filled in windows around the holes.
Wide holes that the lite network fills get texture (see `inpaint_texture`).
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.errors import Code, RestoreError
from restore.imaging.convert import to_grey, to_rgb
from restore.imaging.photo import Photo
from restore.models.adapters.base import InpaintAdapter
from restore.models.catalog import Checkpoint
from restore.models.loader import Model
from restore.options import InpaintOptions
from restore.pipelines.context import StepContext
from restore.pipelines.inpaint_checks import check_mask, fill_warnings
from restore.pipelines.inpaint_texture import add_texture
from restore.pipelines.inpaint_windows import plan_windows
from restore.pipelines.rules import PixelRules
from restore.pipelines.sizes import check_same_size
from restore.runtime.memory import affordable_tile, free_memory_bytes
from restore.runtime.output_checks import checked_output
from restore.runtime.tensors import to_batch

MAX_WINDOW_PX = 2048
"""Long side of a window above which the network gets it reduced."""


def run_inpaint(photo: Photo, options: InpaintOptions, context: StepContext) -> Photo:
    """Fill a photo where `context.mask` is True; everything else is not changed.

    The alpha of the hole is kept too, unless transparency marks the hole (see `alpha_of_fill`).

    Raises:
        RestoreError: MASK (no mask, of another size, empty, or all of the photo), OUT_OF_MEMORY,
            BAD_NUMBERS.
    """
    mask = require_mask(photo, context)
    if mask.shape != photo.pixels.shape[:2]:
        raise RestoreError(
            Code.MASK,
            f"the mask has {mask.shape[1]}x{mask.shape[0]} pixels, the photo has"
            f" {photo.width}x{photo.height}",
            "Send a mask of the photo's size.",
        )
    result = photo.pixels.copy()
    adapter = context.models["inpaint"].adapter_of_kind(InpaintAdapter)
    with context.report.stage("net"), torch.inference_mode():
        for item in plan_windows(mask, context):
            pixels, hidden = photo.pixels[item.window], mask[item.window]
            fill = fill_window(pixels, hidden, context)
            if adapter.needs_texture:
                fill = add_texture(fill, pixels, hidden, item.hole)
            paste_fill(
                result[item.window], item.hole, fill, strength=options.strength, rules=context.rules
            )
    context.changed_areas.append(mask)
    filled = photo.with_pixels(result, alpha_of_fill(photo.alpha, mask))
    if options.strength > 0:
        for warning in fill_warnings(photo, filled, mask, adapter.max_hole_width_px):
            context.report.warn(warning)
    return filled


def check_inpaint(
    photo: Photo, options: InpaintOptions, output_format: str, context: StepContext
) -> None:
    """Check that the photo has a usable mask and fits the output format.

    Raises:
        RestoreError: MASK, OUTPUT_TOO_LARGE.
    """
    require_mask(photo, context)
    check_same_size(photo, options, output_format, context)


def require_mask(photo: Photo, context: StepContext) -> np.ndarray:
    """Return the mask of the context.

    Raises:
        RestoreError: MASK if there is none, or if it covers nothing or the whole photo.
    """
    if context.mask is None:
        raise RestoreError(
            Code.MASK,
            "there is no mask",
            "Send masks (images that are white where the photo is to be filled), or points"
            " (polygons as JSON), or a photo from which the area was erased.",
            photo=photo.name,
        )
    check_mask(context.mask, photo.name)
    return context.mask


def alpha_of_fill(alpha: np.ndarray | None, mask: np.ndarray) -> np.ndarray | None:
    """Return the alpha of a filled photo.

    If most of a photo's transparency lies in the hole, then it marks the hole, as if the area was
    erased in an image editor: the fill becomes opaque, because nobody would see it otherwise. A
    cut-out, whose background is transparent, keeps its outline.

    Args:
        alpha: HxW of the photo, or None.
        mask: HxW bool, True in the hole.
    """
    if alpha is None:
        return None
    opaque = alpha.max()
    transparency = (opaque - alpha).astype(np.float64)
    if transparency[mask].sum() <= transparency[~mask].sum():
        return alpha
    return np.where(mask, opaque, alpha)


def fill_window(pixels: np.ndarray, mask: np.ndarray, context: StepContext) -> np.ndarray:
    """Predict the masked part of a window; reduce the window if it is too large.

    Args:
        pixels: HxW[x3] integers.
        mask: HxW bool, True where pixels are hidden from the network.
        context: the step's context.

    Returns:
        HxW[x3] float32, nominally in [0, 1]; only valid where `mask` is True.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    model, (height, width) = context.models["inpaint"], mask.shape
    image: np.ndarray = to_rgb(pixels).astype(np.float32) / np.iinfo(pixels.dtype).max
    hole: np.ndarray = mask.astype(np.float32)
    max_px = _max_window_px(height, width, model.row, context)
    if max(height, width) > max_px:
        factor = max_px / max(height, width)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        context.report.warn(
            f"a hole needs a window of {width}x{height} pixels: it was filled at"
            f" {size[0]}x{size[1]}, so it is less sharp"
        )
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        # Hide every pixel that contains a part of the hole.
        hole = (cv2.resize(hole, size, interpolation=cv2.INTER_AREA) > 0).astype(np.float32)
    multiple = model.row.size_multiple
    output = predict_fill(
        pad_symmetric(image, multiple), pad_symmetric(hole[..., None], multiple), model, context
    )
    # Only compared with the visible part: a plain wall is rightly filled with one colour.
    output = checked_output(output, torch.from_numpy(image[hole == 0]), model.row.file)
    fill = output[0, :, : image.shape[0], : image.shape[1]].permute(1, 2, 0).float().cpu().numpy()
    fill = np.ascontiguousarray(fill)
    if fill.shape[:2] != (height, width):
        fill = cv2.resize(fill, (width, height), interpolation=cv2.INTER_CUBIC)
    return fill if pixels.ndim == 3 else to_grey(fill)


def pad_symmetric(image: np.ndarray, multiple: int) -> np.ndarray:
    """Pad HxWxC symmetrically at the right and bottom to a multiple, as the official code does.

    Sides get at least two multiples: LaMa mirrors one pixel of its coarsest level, which must have
    two. The official code fails for smaller photos.
    """
    rows, columns = (
        max(2 * multiple, -(-side // multiple) * multiple) - side for side in image.shape[:2]
    )
    return np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="symmetric")


def predict_fill(image: np.ndarray, mask: np.ndarray, model: Model, context: StepContext) -> Tensor:
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


def paste_fill(
    pixels: np.ndarray, hole: np.ndarray, fill: np.ndarray, *, strength: float, rules: PixelRules
) -> None:
    """Blend the fill into a hole, in place.

    Args:
        pixels: HxW[x3] integers; changed where `hole` is True.
        hole: HxW bool.
        fill: HxW[x3] float, nominally in [0, 1].
        strength: weight of the fill, 0 to 1.
        rules: how levels are rounded.
    """
    full = np.iinfo(pixels.dtype).max
    fill_levels = np.clip(fill[hole].astype(np.float64), 0.0, 1.0) * full
    pixels[hole] = rules.round_levels(strength * fill_levels + (1.0 - strength) * pixels[hole])


def _max_window_px(height: int, width: int, row: Checkpoint, context: StepContext) -> int:
    """Return the long side up to which a window is not reduced: less if memory is short."""
    if not row.working_bytes_per_px:
        return MAX_WINDOW_PX
    free_bytes = free_memory_bytes(context.runtime.device)
    return affordable_tile(MAX_WINDOW_PX, height, width, row.working_bytes_per_px, free_bytes)
