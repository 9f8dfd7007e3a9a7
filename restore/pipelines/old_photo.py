"""old_photo_restore: Bringing Old Photos Back to Life (Wan et al., CVPR 2020).

Follows the official four stages: scratches, the whole photo, faces, blending. Two faults are
corrected: the result is not stretched to the full range of levels, and it has the photo's own size
instead of a multiple of 4 or 16. With lite weights other networks run: old_photo_lite.py.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from restore.imaging.convert import to_8_bits, to_depth, to_grey, to_rgb
from restore.imaging.photo import Photo
from restore.imaging.resize import blend_photos, resize_lanczos
from restore.models.adapters.old_photo import VAE, to_input, to_pixels
from restore.models.catalog import LITE
from restore.models.loader import Model
from restore.options import OldPhotoOptions
from restore.pipelines.context import StepContext
from restore.pipelines.old_photo_damage import report_torn_corners, select_filled
from restore.pipelines.old_photo_face_stage import restore_old_photo_faces
from restore.pipelines.old_photo_lite import restore_with_lite_networks
from restore.runtime.output_checks import checked_output

MAX_LONG_SIDE_PX = 3072
MAX_SCRATCHED_LONG_SIDE_PX = 2048
"""Smaller, because the scratch mapping compares every feature with every other."""

SIZE_MULTIPLE = 4
SCRATCHED_SIZE_MULTIPLE = 16

SCRATCH_SHORT_SIDE_PX = 256
"""Short side at which scratches are detected; less for extreme aspect ratios."""

MASK_DILATIONS = 3
"""Widening of scratches for `old_photo_hr`, in pixels."""

NOTHING_LEFT_WARNING = (
    "scratches are everywhere in the photo, which leaves nothing to fill them from, so none was"
    " filled; raise scratch_threshold, or set with_scratch to false"
)


def run_old_photo_restore(photo: Photo, options: OldPhotoOptions, context: StepContext) -> Photo:
    """Restore an old photo at its own size; alpha is not changed.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    if context.models["old_photo_restore"].variant == LITE:
        result, mask = restore_with_lite_networks(photo, options, context)
    else:
        result, mask = _restore_with_official_networks(photo, options, context)
    if mask is not None:
        _report_scratches(photo, mask, options, context)
        report_torn_corners(photo, context)
    return blend_photos(result, photo, options.strength)


def to_working_size(
    pixels: np.ndarray, options: OldPhotoOptions, context: StepContext
) -> np.ndarray:
    """Resize HxWx3 uint8 to sides that the networks accept, smaller if the photo is very large.

    As officially: multiples of 4 with a bilinear filter, or of 16 with a bicubic one for scratches.
    """
    height, width = pixels.shape[:2]
    multiple, max_px = SIZE_MULTIPLE, MAX_LONG_SIDE_PX
    resampling = Image.Resampling.BILINEAR
    if options.with_scratch:
        multiple, max_px = SCRATCHED_SIZE_MULTIPLE, MAX_SCRATCHED_LONG_SIDE_PX
        resampling = Image.Resampling.BICUBIC
        if options.old_photo_hr:
            multiple = context.rules.patch_multiple_px
    factor = min(1.0, max_px / max(height, width))
    if factor < 1.0:
        context.report.warn(
            f"{width}x{height} is too large for this network: it worked at a long side of {max_px}"
            " pixels, and the result was enlarged"
        )
    size = tuple(
        max(2 * multiple, round(side * factor / multiple) * multiple) for side in (width, height)
    )
    return np.asarray(Image.fromarray(pixels).resize(size, resampling))


def find_scratches(pixels: np.ndarray, model: Model, threshold: float) -> np.ndarray:
    """Return where the probability of a scratch reaches the threshold: HxWx3 uint8 -> HxW bool.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    probability = scratch_probability(pixels, model)
    enlarged = F.interpolate(probability, size=pixels.shape[:2], mode="nearest")
    return enlarged[0, 0].ge(threshold).cpu().numpy()


def scratch_probability(pixels: np.ndarray, model: Model) -> Tensor:
    """Predict the probability of scratches: HxWx3 uint8 -> 1x1xhxw, reduced to multiples of 16.

    The short side is 256 pixels, unless the long side would exceed MAX_SCRATCHED_LONG_SIDE_PX.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    net = model.partners["scratch_detector"]
    grey = to_input(np.asarray(Image.fromarray(pixels).convert("L"))[..., None], net)
    height, width = pixels.shape[:2]
    factor = min(
        SCRATCH_SHORT_SIDE_PX / min(height, width),
        MAX_SCRATCHED_LONG_SIDE_PX / max(height, width),
    )
    multiple = SCRATCHED_SIZE_MULTIPLE
    size = tuple(round(side * factor / multiple) * multiple for side in (height, width))
    tensor = F.interpolate(grey, size=size, mode="bilinear", align_corners=False)
    return torch.sigmoid(checked_output(net(tensor), tensor, f"{model.variant}: scratches"))


def _restore_with_official_networks(
    photo: Photo, options: OldPhotoOptions, context: StepContext
) -> tuple[Photo, np.ndarray | None]:
    """Return the restored photo, and the mask of scratches if they were looked for."""
    model = context.models["old_photo_restore"]
    pixels = to_working_size(to_rgb(to_8_bits(photo.pixels)), options, context)
    mask = filled = None
    if options.with_scratch:
        with context.report.stage("scratches"), torch.inference_mode():
            mask = find_scratches(pixels, model, options.scratch_threshold)
        filled = select_filled(mask, context)
    with context.report.stage("net"), torch.inference_mode():
        restored = _restore_globally(pixels, filled, options, context)
    if options.with_face and context.detector is not None:
        restored = restore_old_photo_faces(
            restored, (photo.width, photo.height), options.faces, context
        )
    return _like(photo, restored, context), mask


def _restore_globally(
    pixels: np.ndarray, mask: np.ndarray | None, options: OldPhotoOptions, context: StepContext
) -> np.ndarray:
    """Map the features of an old photo to those of a clean one; HxWx3 uint8 -> HxWx3 uint8.

    If scratches leave nothing to fill them from, none is filled, with a warning.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    if mask is not None and bool(mask.all()):
        return _restore_unfilled(pixels, options, context)
    model = context.models["old_photo_restore"]
    encoder, decoder = (model.partners[role] for role in ("vae_a", "vae_b"))
    holes = torch.zeros((1, 1, *pixels.shape[:2]), device=context.runtime.device)
    if mask is not None:
        hole_mask: np.ndarray = mask.astype(np.uint8)
        if options.old_photo_hr:
            kernel = np.ones((3, 3), np.uint8)
            hole_mask = cv2.dilate(hole_mask, kernel, iterations=MASK_DILATIONS)
        masked = np.where(hole_mask[..., None] > 0, np.uint8(255), pixels)
        holes = torch.from_numpy(hole_mask)[None, None].to(holes)
    tensor = to_input(pixels if mask is None else masked, encoder)
    features = VAE.encode(encoder, tensor)
    # The mapping reduces the mask in this way. If all features are masked, it invents the photo.
    if mask is not None and bool(
        (F.interpolate(holes, features.shape[-2:], mode="bilinear") > 0).all()
    ):
        return _restore_unfilled(pixels, options, context)
    try:
        mapped = model.net(features, holes)
    except ValueError:
        if mask is None:
            raise
        return _restore_unfilled(pixels, options, context)
    decoded = checked_output(VAE.decode(decoder, mapped), tensor, model.row.file)
    return to_pixels(decoded[0], stretched=context.rules.stretches_contrast)


def _restore_unfilled(
    pixels: np.ndarray, options: OldPhotoOptions, context: StepContext
) -> np.ndarray:
    context.report.warn(NOTHING_LEFT_WARNING)
    context.report.status = "reduced"
    return _restore_globally(pixels, None, options, context)


def _report_scratches(
    photo: Photo, mask: np.ndarray, options: OldPhotoOptions, context: StepContext
) -> None:
    """Record the share of scratches, and return the mask with the results if requested."""
    context.report.scratched_share = round(float(mask.mean()), 5)
    if options.return_mask:
        size = (photo.width, photo.height)
        resized = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_NEAREST)
        context.found_masks.append(Photo(photo.name, resized))


def _like(photo: Photo, restored: np.ndarray, context: StepContext) -> Photo:
    """Return HxWx3 uint8 as a photo of the original's size and depth, grey if the original is."""
    alpha = None
    if context.rules.keeps_photo_size:
        restored, alpha = resize_lanczos(restored, (photo.width, photo.height)), photo.alpha
    pixels = to_grey(restored) if photo.is_grey else restored
    return photo.with_pixels(to_depth(pixels, photo.pixels.dtype), alpha)
