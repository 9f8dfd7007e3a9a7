"""old_photo_restore with lite weights: find and fill scratches, denoise, restore faces.

Only the scratch network is the task's own. The others are those of the tasks `inpaint`, `restore`
and `face_restore`.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import nn

from restore.imaging.convert import to_8_bits, to_grey
from restore.imaging.photo import Photo
from restore.options import FaceRestoreOptions, InpaintOptions, OldPhotoOptions, RestoreOptions
from restore.pipelines.context import StepContext
from restore.pipelines.face_stage import restore_faces_in_photos
from restore.pipelines.inpaint import run_inpaint
from restore.pipelines.restore import run_restore
from restore.runtime.output_checks import checked_output

COMPANION_TASKS = ("inpaint", "restore", "face_restore")
"""The catalog tasks whose lite networks the context has beside the task's own."""

MAX_LONG_SIDE_PX = 1280
"""Long side at which scratches are detected: the network knows widths of 1 to 10 pixels."""

ROTATIONS = 4
"""Rotations by 90 degrees over which the scratch probability is averaged."""

MASK_MARGIN_PX = 2
"""Pixels around a scratch that are filled too, because its edges are blended with the scratch."""

DENOISE_STRENGTH = 0.6
"""Less than 1, so that some film grain remains."""

NOTHING_LEFT_WARNING = (
    "scratches were detected over the whole photo, which leaves nothing to fill them from, so none"
    " was filled; raise scratch_threshold, or set with_scratch to false"
)


def restore_with_lite_networks(
    photo: Photo, options: OldPhotoOptions, context: StepContext
) -> tuple[Photo, np.ndarray | None]:
    """Restore an old photo with the lite networks; alpha is not changed.

    Returns:
        The restored photo, and the HxW bool mask of scratches if they were looked for.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    result, mask = photo, None
    if options.with_scratch:
        net = context.models["old_photo_restore"].net
        with context.report.stage("scratches"):
            mask = find_scratches_lite(photo, net, options.scratch_threshold)
        if mask.all():
            context.report.warn(NOTHING_LEFT_WARNING)
        elif mask.any():
            result = run_inpaint(result, InpaintOptions(), replace(context, mask=mask))
    denoise_options = RestoreOptions(strength=DENOISE_STRENGTH, tile_size=options.tile_size)
    result = run_restore(result, denoise_options, context)
    if options.with_face:
        [result] = restore_faces_in_photos([result], FaceRestoreOptions(), [context], 1.0, None)
    return result, mask


def find_scratches_lite(photo: Photo, net: nn.Module, threshold: float) -> np.ndarray:
    """Detect scratches with the lite network.

    Args:
        photo: any photo; detected at a long side of at most MAX_LONG_SIDE_PX.
        net: the lite scratch network.
        threshold: probability from which a pixel is a scratch.

    Returns:
        HxW bool: the scratches and MASK_MARGIN_PX around them.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    luminance = to_grey(to_8_bits(photo.pixels))
    factor = MAX_LONG_SIDE_PX / max(luminance.shape)
    if factor < 1.0:
        size = (max(1, round(photo.width * factor)), max(1, round(photo.height * factor)))
        luminance = cv2.resize(luminance, size, interpolation=cv2.INTER_AREA)
    scratches = (scratch_probability_lite(luminance, net) >= threshold).astype(np.uint8)
    kernel = np.ones((2 * MASK_MARGIN_PX + 1,) * 2, np.uint8)
    mask = cv2.dilate(scratches, kernel)
    return cv2.resize(mask, (photo.width, photo.height), interpolation=cv2.INTER_NEAREST) > 0


def scratch_probability_lite(luminance: np.ndarray, net: nn.Module) -> np.ndarray:
    """Predict the probability of scratches, averaged over four rotations of the photo.

    The average over rotations (self-ensemble, Timofte et al., CVPR 2016) raises F1 by 0.01.

    Args:
        luminance: HxW uint8.
        net: the lite scratch network.

    Returns:
        HxW float32 in [0, 1].

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    device = next(net.parameters()).device
    tensor = torch.from_numpy(luminance.astype(np.float32) / 255.0)[None, None].to(device)
    total = torch.zeros_like(tensor)
    with torch.inference_mode():
        for turns in range(ROTATIONS):
            rotated = torch.rot90(tensor, turns, (2, 3)).contiguous()
            total += torch.rot90(net(rotated), -turns, (2, 3))
        logits = checked_output(total, tensor, "lite scratches") / ROTATIONS
        return np.asarray(torch.sigmoid(logits)[0, 0].cpu().numpy())
