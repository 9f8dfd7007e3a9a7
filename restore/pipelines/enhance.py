"""enhance: enlarge a photo with Real-ESRGAN and restore its faces (official face_enhance)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from restore.imaging.photo import Photo
from restore.options import EnhanceOptions, UpscaleOptions
from restore.pipelines.context import StepContext, run_each_photo
from restore.pipelines.face_stage import restore_faces_in_photos
from restore.pipelines.upscale import enlarge, run_upscale


def run_enhance(
    photos: Sequence[Photo], options: EnhanceOptions, contexts: Sequence[StepContext]
) -> list[Photo]:
    """Enlarge each photo to exactly the size that the options state and restore its faces.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """

    def make_background(photo: Photo, context: StepContext) -> Photo:
        return enlarge(photo, options.scale_for(photo.width, photo.height), options, context)

    scales = [options.scale_for(photo.width, photo.height) for photo in photos]
    return restore_faces_in_photos(photos, options, contexts, scales, make_background)


def run_upscale_or_enhance(
    photos: Sequence[Photo], options: UpscaleOptions, contexts: Sequence[StepContext]
) -> Iterable[Photo]:
    """Run the task `upscale`, which equals `enhance` if `options.face_enhance` is set."""
    if options.face_enhance:
        return run_enhance(photos, options, contexts)
    return run_each_photo(run_upscale)(photos, options, contexts)
