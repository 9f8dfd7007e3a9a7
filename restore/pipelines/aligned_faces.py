"""face_restore with `has_aligned`: photos that are one aligned face each."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from restore.faces.align import CROP_PX
from restore.faces.colour import Tone, classify_tone
from restore.faces.face import Face
from restore.imaging.convert import to_float_levels, to_grey, to_rgb
from restore.imaging.photo import Photo
from restore.imaging.resize import blend_photos
from restore.options import FaceRestoreOptions
from restore.pipelines.context import StepContext
from restore.pipelines.face_alignment import describe_face, too_large_for
from restore.pipelines.face_batches import HOST_CROPS, restore_crops
from restore.pipelines.face_checks import reason_not_to_paste
from restore.pipelines.sizes import output_size


def restore_aligned_photos(
    photos: Sequence[Photo], options: FaceRestoreOptions, contexts: Sequence[StepContext]
) -> list[Photo]:
    """Restore photos that are one aligned face each, and resize them to the requested size.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS, naming the photo.
    """
    row = contexts[0].models["face_restore"].row
    input_px = row.input_px or CROP_PX
    crops: list[list[np.ndarray]] = []
    for photo, context in zip(photos, contexts, strict=True):
        with context.name_photo_in_errors():
            reason = too_large_for(row, max(photo.width, photo.height))
            _report_aligned_face(photo, reason, context)
            crops.append(
                [] if reason else [_network_input(photo, input_px, averages=row.difference)]
            )
    tones: list[Tone] = [classify_tone(crop[0]) if crop else "colour" for crop in crops]
    restored = restore_crops(crops, tones, options, contexts, HOST_CROPS)
    results = []
    for photo, crop, made, context in zip(photos, crops, restored, contexts, strict=True):
        with context.name_photo_in_errors():
            faces = _keep_usable_face(photo, made, crop, context)
            requested = output_size(photo, options.face_upscale, context.rules)
            size = context.rules.aligned_size(requested, input_px)
            if not faces:
                pixels = _resize_levels(to_rgb(photo.pixels), size)
            elif row.difference:
                pixels = _add_difference(photo, faces[0], crop[0], size)
            else:
                pixels = _resize_face(photo, faces[0], size)
            results.append(blend_photos(_like(photo, pixels, size), photo, options.strength))
    return results


def _report_aligned_face(photo: Photo, reason: str, context: StepContext) -> None:
    """Add the face to the report."""
    box = (0.0, 0.0, float(photo.width), float(photo.height))
    context.report.face_detector = "none: has_aligned"
    context.report.faces.append(describe_face(Face(box, 1.0, np.zeros((5, 2))), 0, reason))
    context.report.face_restoration_applied = not reason
    if reason:
        context.report.warn(f"the face was not restored: {reason}")
    if photo.width != photo.height:
        context.report.warn(
            f"an aligned face is square; this photo is {photo.width}x{photo.height}"
        )


def _keep_usable_face(
    photo: Photo, faces: list[np.ndarray], crop: list[np.ndarray], context: StepContext
) -> list[np.ndarray]:
    """Return the restored face, if there is one and it may be used, and record what it covers."""
    if not faces:
        return []
    enlarged = cv2.resize(crop[0], faces[0].shape[1::-1], interpolation=cv2.INTER_LINEAR)
    reason = reason_not_to_paste(faces[0], enlarged, context)
    if reason:
        context.report.faces[-1].update(restored=False, reason=reason)
        context.report.face_restoration_applied = False
        return []
    context.changed_areas.append(np.ones((photo.height, photo.width), np.bool_))
    return faces


def _network_input(photo: Photo, input_px: int, *, averages: bool) -> np.ndarray:
    """Resize a photo to input_px x input_px x 3 levels: uint8, or float32 for 16-bit photos.

    Bilinear, as officially; if `averages` is set, larger photos are averaged.
    """
    levels = to_float_levels(to_rgb(photo.pixels))
    shrinks = averages and min(photo.width, photo.height) > input_px
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(levels, (input_px, input_px), interpolation=interpolation)


def _resize_levels(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize HxWx3 pixels to (width, height) with Lanczos, as float32."""
    return cv2.resize(pixels, size, interpolation=cv2.INTER_LANCZOS4).astype(np.float32)


def _add_difference(
    photo: Photo, face: np.ndarray, crop: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return the resized photo with the network's difference added, as float32."""
    difference = cv2.resize(face.astype(np.float32) - crop, size, interpolation=cv2.INTER_CUBIC)
    resized = _resize_levels(to_rgb(photo.pixels), size)
    resized += difference * _units_per_level(photo)
    return resized


def _resize_face(photo: Photo, face: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the restored face at (width, height) in the photo's range, as float32."""
    interpolation = cv2.INTER_AREA if size[0] < face.shape[1] else cv2.INTER_LANCZOS4
    resized = cv2.resize(face.astype(np.float32), size, interpolation=interpolation)
    return resized * _units_per_level(photo)


def _units_per_level(photo: Photo) -> np.float32:
    return np.float32(np.iinfo(photo.pixels.dtype).max / 255)


def _like(photo: Photo, rgb: np.ndarray, size: tuple[int, int]) -> Photo:
    """Return float RGB as a photo of the original's depth, grey if the original is grey."""
    full = np.iinfo(photo.pixels.dtype).max
    pixels = np.clip(np.rint(rgb), 0, full).astype(photo.pixels.dtype)
    alpha = photo.alpha
    if alpha is not None:
        alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR)
    return photo.with_pixels(to_grey(pixels) if photo.is_grey else pixels, alpha)
