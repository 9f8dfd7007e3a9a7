"""Restore the faces of photos: find and align them, run the network, paste them back.

Follows the official face helpers, as the network's manifest row says: CodeFormer's (Zhou et al.,
NeurIPS 2022), or facexlib's for GFPGAN (Wang et al., CVPR 2021) and RestoreFormer (Wang et al.,
CVPR 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from restore.faces.align import CROP_PX
from restore.faces.colour import Tone, classify_tone
from restore.faces.paste import Region
from restore.faces.plausibility import measure_change
from restore.imaging.convert import to_grey, to_rgb
from restore.imaging.photo import Photo
from restore.imaging.resize import blend_photos, resize_photo
from restore.options import FaceOptions
from restore.pipelines.context import StepContext
from restore.pipelines.face_alignment import (
    AlignedFace,
    Levels,
    convention_of,
    find_aligned_faces,
)
from restore.pipelines.face_batches import HOST_CROPS, PARSER, face_masks, restore_crops
from restore.pipelines.face_checks import keep_usable_faces, record_pasted_area
from restore.pipelines.sizes import output_size

MAX_SHARP_ENLARGEMENT = 1.5
"""Faces this many times larger than the network's crop visibly lose detail."""

MakeBackground: TypeAlias = Callable[[Photo, StepContext], Photo]
"""Makes the photo behind the faces, at the size of the result."""


def restore_faces_in_photos(
    photos: Sequence[Photo],
    options: FaceOptions,
    contexts: Sequence[StepContext],
    scales: Sequence[float],
    make_background: MakeBackground | None,
) -> list[Photo]:
    """Restore the faces of all photos, each photo enlarged by its scale.

    The faces of all photos go through the network together.

    Args:
        photos: the photos of the request.
        options: the options of the step.
        contexts: one context for each photo.
        scales: factor of the size of each result.
        make_background: makes the photo behind the faces; None to resize it.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS, naming the photo.
    """
    prepared = [
        context.rules.prepare_photo(photo, convention_of(context))
        for photo, context in zip(photos, contexts, strict=True)
    ]
    aligned = []
    for index, (photo, context) in enumerate(zip(prepared, contexts, strict=True)):
        context.progress("looking for faces", index, len(photos))
        with context.name_photo_in_errors(), context.report.stage("detect"):
            aligned.append(find_aligned_faces(photo, options, context))
    tones: list[Tone] = [
        classify_tone(photo.pixels) if faces else "colour"
        for photo, faces in zip(photos, aligned, strict=True)
    ]
    crops = [[face.crop for face in faces] for faces in aligned]
    restored = restore_crops(crops, tones, options, contexts, HOST_CROPS)
    results = []
    for photo, found, made, scale, context in zip(
        prepared, aligned, restored, scales, contexts, strict=True
    ):
        with context.name_photo_in_errors():
            faces, levels = keep_usable_faces(found, made, context, measure_change)
            if make_background is None:
                base = _resize_background(photo, scale, context)
            else:
                base = make_background(photo, context)
            result = _paste_faces(base, photo, faces, levels, scale, context)
            results.append(blend_photos(result, photo, options.strength))
    return results


def _resize_background(photo: Photo, scale: float, context: StepContext) -> Photo:
    """Resize a photo as the convention resizes what is behind the faces."""
    size = output_size(photo, scale, context.rules)
    convention = convention_of(context)
    with context.report.stage("resize"):
        return resize_photo(photo, size, convention.background_interpolation)


def _paste_faces(
    base: Photo,
    photo: Photo,
    aligned: Sequence[AlignedFace[Levels]],
    restored: Sequence[Levels],
    scale: float,
    context: StepContext,
) -> Photo:
    """Return `base`, which is `photo` enlarged, with the restored faces in their places."""
    if not aligned:
        return base
    with context.report.stage("parse"):
        masks = face_masks(restored, context)
    record_pasted_area(aligned, masks, (photo.width, photo.height), context)
    model = context.models["face_restore"]
    square = uses_square(context)
    shared = np.may_share_memory(base.pixels, photo.pixels)
    pixels = base.pixels.copy() if shared or not base.pixels.flags.writeable else base.pixels
    with context.report.stage("paste"):
        frame = context.rules.face_frame(to_rgb(pixels))
        regions = [
            frame.paste(
                levels,
                face.matrix,
                scale,
                mask=mask,
                square=square,
                crop=face.crop if model.row.difference else None,
            )
            for face, levels, mask in zip(aligned, restored, masks, strict=True)
        ]
        frame.write_back()
        if base.is_grey:
            _copy_luminance(frame.pixels, pixels, regions)
    warn_of_large_faces([face.matrix for face in aligned], scale, context)
    return base.with_pixels(pixels, base.alpha)


def uses_square(context: StepContext) -> bool:
    """Tell whether the square of a crop limits its mask: only with a parsed mask, as officially."""
    return (
        convention_of(context).square_mask
        and PARSER in context.models["face_restore"].partners
        and context.runtime.parses_faces
    )


def _copy_luminance(rgb: np.ndarray, grey: np.ndarray, regions: Sequence[Region]) -> None:
    for left, top, right, bottom in regions:
        if right > left and bottom > top:
            region = np.ascontiguousarray(rgb[top:bottom, left:right])
            grey[top:bottom, left:right] = to_grey(region)


def warn_of_large_faces(matrices: Sequence[np.ndarray], scale: float, context: StepContext) -> None:
    """Warn if a face in the result is much larger than the network's crop.

    Args:
        matrices: 2x3 transforms from the photo to each crop.
        scale: size of the result over the size of the photo.
        context: context of the step; networks whose difference is added have no such limit.
    """
    if context.models["face_restore"].row.difference:
        return
    largest = max(scale / float(np.sqrt(abs(np.linalg.det(matrix[:, :2])))) for matrix in matrices)
    if largest > MAX_SHARP_ENLARGEMENT:
        context.report.warn(
            f"a face covers {largest:.1f} times the {CROP_PX} pixels that this network restores:"
            " it may lose fine detail; use a smaller face_upscale or scale, or a smaller photo"
        )
