"""Restore the faces of photos on a device; see `face_stage`.

The search by dlib, which runs on the host, needs the pixels there. They are copied only if an
earlier step has changed them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.faces.colour import Tone
from restore.faces.detect import DeviceDetector
from restore.faces.device_changes import (
    classify_tone_on_device,
    keep_colour_on_device,
    match_grey_on_device,
    measure_change_on_device,
)
from restore.faces.device_crops import crop_on_device, smooth_crop_on_device
from restore.faces.device_masks import (
    geometric_mask_on_device,
    mark_face_on_device,
    parse_masks_on_device,
)
from restore.faces.device_paste import DevicePaste, paste_on_device
from restore.faces.pictures import Picture
from restore.imaging.convert import to_8_bits, to_rgb
from restore.imaging.device_photo import DevicePhoto, download_photo
from restore.imaging.device_resize import blend_photos, resize_photo
from restore.options import EnhanceOptions, FaceOptions, FaceRestoreOptions
from restore.pipelines.context import StepContext
from restore.pipelines.device_upscale import enlarge_on_device
from restore.pipelines.face_alignment import (
    AlignedFace,
    align_faces,
    convention_of,
    detect_faces,
)
from restore.pipelines.face_batches import CropTools, parse_faces, restore_crops
from restore.pipelines.face_checks import keep_usable_faces
from restore.pipelines.face_stage import uses_square, warn_of_large_faces
from restore.pipelines.sizes import output_size

MakeDeviceBackground = Callable[[DevicePhoto, StepContext], DevicePhoto]
"""Makes the photo behind the faces, at the size of the result."""


def restore_faces_on_device(
    photos: Sequence[DevicePhoto],
    options: FaceRestoreOptions,
    contexts: Sequence[StepContext],
) -> Iterator[DevicePhoto]:
    """Restore the faces of all photos; see `run_face_restore`.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS, naming the photo.
    """
    scale = options.face_upscale

    def make_background(photo: DevicePhoto, context: StepContext) -> DevicePhoto:
        if options.background_enhance:
            return enlarge_on_device(photo, scale, options, context)
        size = output_size(photo, scale, context.rules)
        with context.report.stage("resize"):
            return resize_photo(photo, size, convention_of(context).background_interpolation)

    scales = [scale] * len(photos)
    return _restore_faces(photos, options, contexts, scales, make_background)


def enhance_on_device(
    photos: Sequence[DevicePhoto], options: EnhanceOptions, contexts: Sequence[StepContext]
) -> Iterator[DevicePhoto]:
    """Enlarge each photo and restore the faces in it; see `run_enhance`.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS, naming the photo.
    """

    def make_background(photo: DevicePhoto, context: StepContext) -> DevicePhoto:
        scale = options.scale_for(photo.width, photo.height)
        return enlarge_on_device(photo, scale, options, context)

    scales = [options.scale_for(photo.width, photo.height) for photo in photos]
    return _restore_faces(photos, options, contexts, scales, make_background)


def _restore_faces(
    photos: Sequence[DevicePhoto],
    options: FaceOptions,
    contexts: Sequence[StepContext],
    scales: Sequence[float],
    make_background: MakeDeviceBackground,
) -> Iterator[DevicePhoto]:
    """Restore the faces of all photos together, each photo enlarged by its scale."""
    aligned = []
    for index, (photo, context) in enumerate(zip(photos, contexts, strict=True)):
        context.progress("looking for faces", index, len(photos))
        with context.name_photo_in_errors(), context.report.stage("detect"):
            aligned.append(_find_aligned_faces(photo, options, context))
    tones: list[Tone] = [
        classify_tone_on_device(photo) if faces else "colour"
        for photo, faces in zip(photos, aligned, strict=True)
    ]
    crops = [[face.crop for face in faces] for faces in aligned]
    restored = restore_crops(crops, tones, options, contexts, DEVICE_CROPS)
    for photo, found, made, scale, context in zip(
        photos, aligned, restored, scales, contexts, strict=True
    ):
        with context.name_photo_in_errors():
            faces, levels = keep_usable_faces(found, made, context, measure_change_on_device)
            base = make_background(photo, context)
            pasted = _paste_faces(base, photo, faces, levels, scale, context)
            result = blend_photos(pasted, photo, options.strength)
        yield result


def _find_aligned_faces(
    photo: DevicePhoto, options: FaceOptions, context: StepContext
) -> list[AlignedFace[Tensor]]:
    checked = detect_faces(_picture_of(photo, context), context)
    is_difference = context.models["face_restore"].row.difference
    cut = smooth_crop_on_device if is_difference else crop_on_device
    return align_faces(checked, photo, functools.partial(cut, photo.levels), options, context)


def _picture_of(photo: DevicePhoto, context: StepContext) -> Picture:
    """Return the 8-bit RGB picture that the detector searches, where it can search it."""
    if isinstance(context.detector, DeviceDetector):
        levels = photo.levels
        if levels.dtype != torch.uint8:
            levels = (photo.unit() * 255).round().to(torch.uint8)
        return levels.expand(-1, 3, -1, -1)
    return to_rgb(to_8_bits(download_photo(photo).pixels))


def _paste_faces(
    base: DevicePhoto,
    photo: DevicePhoto,
    aligned: Sequence[AlignedFace[Tensor]],
    restored: Sequence[Tensor],
    scale: float,
    context: StepContext,
) -> DevicePhoto:
    """Return `base`, which is `photo` enlarged, with the restored faces in their places."""
    if not aligned:
        return base
    with context.report.stage("parse"):
        masks = _face_masks(restored, context)
    is_difference = context.models["face_restore"].row.difference
    with context.report.stage("paste"):
        _record_pasted_area(photo, aligned, masks, context)
        faces = [
            DevicePaste(levels, face.matrix, mask, face.crop if is_difference else None)
            for face, levels, mask in zip(aligned, restored, masks, strict=True)
        ]
        levels = paste_on_device(base.levels, faces, scale, square=uses_square(context))
    warn_of_large_faces([face.matrix for face in aligned], scale, context)
    return base.with_levels(levels, base.alpha)


def _face_masks(faces: Sequence[Tensor], context: StepContext) -> list[Tensor]:
    """Return where each restored face covers the photo: 1x1x512x512 float32."""
    masks: list[Tensor] = []
    for logits in parse_faces(faces, context, DEVICE_CROPS):
        masks += torch.split(parse_masks_on_device(logits), 1)
    return masks or [geometric_mask_on_device(face.device) for face in faces]


def _record_pasted_area(
    photo: DevicePhoto,
    aligned: Sequence[AlignedFace[Tensor]],
    masks: Sequence[Tensor],
    context: StepContext,
) -> None:
    area = torch.zeros_like(photo.levels[:, :1], dtype=torch.bool)
    for face, mask in zip(aligned, masks, strict=True):
        to_photo: np.ndarray = cv2.invertAffineTransform(face.matrix)
        mark_face_on_device(area, mask, to_photo)
    context.changed_on_device.append(area)


def _stack(faces: Sequence[Tensor], device: torch.device) -> Tensor:
    del device  # the faces are there
    return torch.cat([face.float() for face in faces]) / 255.0


def _unstack(faces: Tensor) -> Sequence[Tensor]:
    return torch.split(faces * 255.0, 1)


def _with_colours(
    face: Tensor, crop: Tensor, tone: Tone, options: FaceOptions, context: StepContext
) -> Tensor:
    """Apply the colour rules of the options and of the convention to a restored face.

    The result has 8 bits if the crop has 8 bits and the network's output replaces it.
    """
    row = context.models["face_restore"].row
    rounds = crop.dtype == torch.uint8 and not row.difference
    face = face.round() if rounds else face
    turns_grey = convention_of(context).matches_grey and tone == "grey"
    if turns_grey:
        face = match_grey_on_device(face, crop)
    elif rounds:
        face = face.to(torch.uint8)
    keeps_colour = options.keep_color
    if keeps_colour is None:
        keeps_colour = context.rules.keeps_colour(tone, turned_grey=turns_grey)
    return keep_colour_on_device(face, crop) if keeps_colour else face


DEVICE_CROPS = CropTools(_stack, _unstack, _with_colours)
"""For 1x3x512x512 crops on a device."""
