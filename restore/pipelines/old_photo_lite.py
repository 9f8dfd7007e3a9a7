"""old_photo_restore with lite weights: find and fill scratches, denoise, restore faces.

Only the scratch network is the task's own. The others are those of the tasks `inpaint`, `restore`
and `face_restore`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from restore.imaging.alpha import is_unreliable
from restore.imaging.photo import Photo
from restore.options import FaceRestoreOptions, InpaintOptions, OldPhotoOptions, RestoreOptions
from restore.pipelines.context import StepContext
from restore.pipelines.face_stage import restore_faces_in_photos
from restore.pipelines.inpaint import run_inpaint
from restore.pipelines.old_photo_damage import select_filled
from restore.pipelines.old_photo_scratches import find_scratches_lite
from restore.pipelines.restore import run_restore

COMPANION_TASKS = ("inpaint", "restore", "face_restore")
"""The catalog tasks whose lite networks the context has beside the task's own."""

DENOISE_STRENGTH = 0.6
"""Less than 1, so that some film grain remains."""


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
            if photo.alpha is not None:
                mask &= ~is_unreliable(photo.alpha)  # what is hidden has made-up colours
        filled = select_filled(mask, context)
        if filled.any():
            result = run_inpaint(result, InpaintOptions(), replace(context, mask=filled))
    denoise_options = RestoreOptions(strength=DENOISE_STRENGTH, tile_size=options.tile_size)
    result = run_restore(result, denoise_options, context)
    if options.with_face:
        face_options = FaceRestoreOptions(faces=options.faces)
        [result] = restore_faces_in_photos([result], face_options, [context], [1.0], None)
    return result, mask
