"""enhance: the photo enlarged with Real-ESRGAN and its faces restored in one pass, as Real-ESRGAN's face_enhance does it."""

from __future__ import annotations

from collections.abc import Sequence

from restore.imaging.photo import Photo
from restore.options import EnhanceOptions, UpscaleOptions
from restore.pipelines.face_stage import with_faces_restored
from restore.pipelines.job import Job, photo_by_photo
from restore.pipelines.upscale import enlarged, upscale


def enhance(photos: Sequence[Photo], options: EnhanceOptions, jobs: Sequence[Job]) -> list[Photo]:
    """Enlarges each photo by exactly `options.scale` and restores the faces in it.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """

    def behind(photo: Photo, job: Job) -> Photo:
        return enlarged(photo, options.scale, options, job)

    return with_faces_restored(photos, options, jobs, options.scale, behind)


def upscale_or_enhance(
    photos: Sequence[Photo], options: UpscaleOptions, jobs: Sequence[Job]
) -> list[Photo]:
    """The task `upscale`, with faces where it is asked to `face_enhance`."""
    if options.face_enhance:
        return enhance(photos, options, jobs)
    return photo_by_photo(upscale)(photos, options, jobs)
