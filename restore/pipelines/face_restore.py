"""face_restore: restore the faces of a photo; resize the rest, or enhance it with Real-ESRGAN."""

from __future__ import annotations

from collections.abc import Sequence

from restore.imaging.photo import Photo
from restore.options import FaceRestoreOptions
from restore.pipelines.aligned_faces import restore_aligned_photos
from restore.pipelines.context import StepContext
from restore.pipelines.face_stage import restore_faces_in_photos
from restore.pipelines.sizes import check_network_output_size, check_scaled_size
from restore.pipelines.upscale import enlarge, network_for_scale


def run_face_restore(
    photos: Sequence[Photo], options: FaceRestoreOptions, contexts: Sequence[StepContext]
) -> list[Photo]:
    """Restore the faces of all photos, each photo enlarged by `options.face_upscale`.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    scale = options.face_upscale
    if options.has_aligned:
        return restore_aligned_photos(photos, options, contexts)

    def make_background(photo: Photo, context: StepContext) -> Photo:
        return enlarge(photo, scale, options, context)

    background = make_background if options.background_enhance else None
    scales = [scale] * len(photos)
    return restore_faces_in_photos(photos, options, contexts, scales, background)


def check_face_restore(
    photo: Photo, options: FaceRestoreOptions, output_format: str, context: StepContext
) -> None:
    """Check that the result is within the pixel limit and fits the output format.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    check_scaled_size(photo, options.face_upscale, "face_upscale", output_format)
    if "upscale" in context.models:
        check_network_output_size(
            photo, network_for_scale(context.models["upscale"], options.face_upscale)
        )
