"""face_restore: the faces of a photo restored; what is behind them resized, or enhanced with Real-ESRGAN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from restore.faces.align import CROP_PX
from restore.faces.colour import tone
from restore.faces.face import Face
from restore.models import Model
from restore.options import FaceRestoreOptions
from restore.photo import Photo
from restore.pipelines.faces import described, in_colour, restored_crops, with_faces_restored
from restore.pipelines.job import Job
from restore.pipelines.upscale import check_between, check_result, enlarged, mixed, output_size


def face_restore(photos: Sequence[Photo], options: FaceRestoreOptions, jobs: Sequence[Job]) -> list[Photo]:
    """Restores the faces of all photos, at `options.face_upscale` times their size.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    scale = options.face_upscale
    if options.has_aligned:
        return [aligned_face(photo, options, job) for photo, job in zip(photos, jobs, strict=True)]

    def enhanced(photo: Photo, job: Job) -> Photo:
        return enlarged(photo, scale, options, job)

    return with_faces_restored(photos, options, jobs, scale, enhanced if options.background_enhance else None)


def check(photo: Photo, options: FaceRestoreOptions, output_format: str, models: Mapping[str, Model]) -> None:
    """Refuses, before any work, a photo whose result would be too large for us or for the output format.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    check_result(photo, options.face_upscale, "face_upscale", output_format)
    if "upscale" in models:
        check_between(photo, models["upscale"])


def aligned_face(photo: Photo, options: FaceRestoreOptions, job: Job) -> Photo:
    """A photo that is one aligned face: through the network as it is, and back to the size asked for."""
    job.report.face_detector = "none: has_aligned"
    if options.background_enhance:
        job.report.warn("has_aligned: there is no background for background_enhance")
    with job.guarded():
        if photo.width != photo.height:
            job.report.warn(f"an aligned face is square; this photo is {photo.width}x{photo.height}")
        pixels = in_colour(photo.pixels)
        levels = pixels if pixels.dtype == np.uint8 else (pixels / 257.0).astype(np.float32)
        side_px = job.models["face_restore"].row.input_px or CROP_PX
        original = cv2.resize(levels, (side_px, side_px), interpolation=cv2.INTER_LINEAR)
        [[face]] = restored_crops([[original]], [tone(pixels)], options, [job])
        whole = Face((0.0, 0.0, float(photo.width), float(photo.height)), 1.0, np.zeros((5, 2)))
        job.report.faces.append(described(whole, ""))
        job.report.face_restoration_applied = True
        size = (side_px, side_px) if job.official_quirks else output_size(photo, options.face_upscale)
        if job.models["face_restore"].row.difference:
            change = cv2.resize(face.astype(np.float32) - original, size, interpolation=cv2.INTER_CUBIC)
            result: np.ndarray = cv2.resize(levels, size, interpolation=cv2.INTER_LANCZOS4).astype(np.float32) + change
        else:
            shrinks = size[0] < side_px
            result = cv2.resize(face.astype(np.float32), size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4)
        full = np.iinfo(photo.pixels.dtype).max
        result = np.clip(np.rint(result * (full / 255.0)), 0, full).astype(photo.pixels.dtype)
        result = cv2.cvtColor(result, cv2.COLOR_RGB2GRAY) if photo.is_grey else result
        alpha = None if photo.alpha is None else cv2.resize(photo.alpha, size, interpolation=cv2.INTER_LINEAR)
        return mixed(photo.with_pixels(result, alpha), photo, options.strength)
