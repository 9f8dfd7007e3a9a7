"""face_restore: the faces of a photo restored; what is behind them resized, or enhanced with Real-ESRGAN."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from restore.faces.align import CROP_PX
from restore.faces.colour import Tone, tone
from restore.faces.face import Face
from restore.imaging.photo import Photo
from restore.options import FaceRestoreOptions
from restore.pipelines.face_stage import (
    described,
    restored_crops,
    too_fine_for,
    with_faces_restored,
)
from restore.pipelines.job import Job, in_colour
from restore.pipelines.upscale import (
    check_between,
    check_result,
    enlarged,
    mixed,
    output_size,
    suited,
)


def face_restore(
    photos: Sequence[Photo], options: FaceRestoreOptions, jobs: Sequence[Job]
) -> list[Photo]:
    """Restores the faces of all photos, at `options.face_upscale` times their size.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    scale = options.face_upscale
    if options.has_aligned:
        return aligned_photos(photos, options, jobs)

    def enhanced(photo: Photo, job: Job) -> Photo:
        return enlarged(photo, scale, options, job)

    return with_faces_restored(
        photos, options, jobs, scale, enhanced if options.background_enhance else None
    )


def check(photo: Photo, options: FaceRestoreOptions, output_format: str, job: Job) -> None:
    """Refuses, before any work, a photo whose result would be too large for us or for the output format.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    check_result(photo, options.face_upscale, "face_upscale", output_format)
    if "upscale" in job.models:
        check_between(photo, suited(job.models["upscale"], options.face_upscale))


def aligned_photos(
    photos: Sequence[Photo], options: FaceRestoreOptions, jobs: Sequence[Job]
) -> list[Photo]:
    """Photos that are one aligned face each: through the network as they are, and back to the size asked for."""
    row = jobs[0].models["face_restore"].row
    side_px = row.input_px or CROP_PX
    crops: list[list[np.ndarray]] = []
    for photo, job in zip(photos, jobs, strict=True):
        with job.guarded():
            reason = too_fine_for(row, max(photo.width, photo.height))
            note_aligned(photo, reason, options, job)
            crops.append([] if reason else [network_view(photo, side_px, averaged=row.difference)])
    tones: list[Tone] = [tone(crop[0]) if crop else "colour" for crop in crops]
    results = []
    for photo, crop, faces, job in zip(
        photos, crops, restored_crops(crops, tones, options, jobs), jobs, strict=True
    ):
        with job.guarded():
            size = (
                (side_px, side_px)
                if job.official_quirks
                else output_size(photo, options.face_upscale)
            )
            result = face_at(photo, size, crop, faces, added=row.difference)
            results.append(mixed(result, photo, options.strength))
    return results


def note_aligned(photo: Photo, reason: str, options: FaceRestoreOptions, job: Job) -> None:
    """What a report says of an aligned face, and of what has no meaning for it."""
    whole = Face((0.0, 0.0, float(photo.width), float(photo.height)), 1.0, np.zeros((5, 2)))
    job.report.face_detector = "none: has_aligned"
    job.report.faces.append(described(whole, reason))
    job.report.face_restoration_applied = not reason
    if reason:
        job.report.warn(f"the face was left as it is: {reason}")
    if photo.width != photo.height:
        job.report.warn(f"an aligned face is square; this photo is {photo.width}x{photo.height}")
    for name in ("background_enhance", "only_center_face", "min_face_px"):
        if getattr(options, name):
            job.report.warn(f"{name} has no meaning with has_aligned")


def network_view(photo: Photo, side_px: int, *, averaged: bool) -> np.ndarray:
    """The photo at the network's size: side x side x 3, uint8, or float32 levels for 16 bits; bilinear as officially, or averaged."""
    pixels = in_colour(photo.pixels)
    levels = (
        pixels if pixels.dtype == np.uint8 else pixels.astype(np.float32) * np.float32(255 / 65535)
    )
    shrinks = averaged and min(photo.width, photo.height) > side_px
    return cv2.resize(
        levels, (side_px, side_px), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def face_at(
    photo: Photo,
    size: tuple[int, int],
    crop: Sequence[np.ndarray],
    faces: Sequence[np.ndarray],
    *,
    added: bool,
) -> Photo:
    """The restored face at (width, height), as deep and as grey as the photo; the photo itself where there is none.

    Args:
        crop, faces: what the network saw and what it gave, or nothing.
        added: its change is added to the photo in place of replacing it.
    """
    full = np.iinfo(photo.pixels.dtype).max
    if not faces or added:
        result = cv2.resize(in_colour(photo.pixels), size, interpolation=cv2.INTER_LANCZOS4).astype(
            np.float32
        )
        if faces:
            change = faces[0].astype(np.float32) - crop[0]
            result += cv2.resize(change, size, interpolation=cv2.INTER_CUBIC) * np.float32(
                full / 255
            )
    else:
        how = cv2.INTER_AREA if size[0] < faces[0].shape[1] else cv2.INTER_LANCZOS4
        result = cv2.resize(faces[0].astype(np.float32), size, interpolation=how) * np.float32(
            full / 255
        )
    pixels = np.clip(np.rint(result), 0, full).astype(photo.pixels.dtype)
    alpha = (
        None
        if photo.alpha is None
        else cv2.resize(photo.alpha, size, interpolation=cv2.INTER_LINEAR)
    )
    return photo.with_pixels(
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if photo.is_grey else pixels, alpha
    )
