"""The areas to fill in the photos of a request. True means fill.

They come from mask images, from polygons, or from the transparent part of a photo.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from restore.errors import Code, RestoreError
from restore.imaging.exif import FIRST_TRANSPOSED
from restore.imaging.mask_rules import (
    MAX_HOLE_SHARE,
    MaskReading,
    UnreadableMaskError,
    erased_part,
    read_hole,
)
from restore.imaging.photo import Photo, turn_upright
from restore.imaging.polygons import draw_polygons, parse_polygons
from restore.imaging.resize import resize_mask
from restore.options.counts import check_mask_count
from restore.report import Report

MAX_ASPECT_DIFFERENCE = 0.01
LOSSY_FORMATS = frozenset({"JPEG", "WEBP", "HEIC", "AVIF"})

_REMEDY = (
    "Paint the area to fill white on black, or in any colour on a transparent layer, and send the"
    " mask as PNG."
)


def combine_masks(
    photos: Sequence[Photo], masks: Sequence[Photo], points: str | None, reports: Sequence[Report]
) -> list[np.ndarray | None]:
    """Return the area to fill in each photo: the union of its mask image and the polygons.

    Args:
        photos: the photos of a request.
        masks: no mask, one for all photos, or one per photo.
        points: polygons for all photos, as JSON for `parse_polygons`.
        reports: the photos' reports, which receive notes and warnings about masks.

    Returns:
        HxW bool for each photo, or None without a mask and polygons.

    Raises:
        RestoreError: MASK.
    """
    check_mask_count(len(masks), len(photos))
    polygons = None if points is None else parse_polygons(points)
    combined: list[np.ndarray | None] = []
    for index, (photo, report) in enumerate(zip(photos, reports, strict=True)):
        areas = []
        try:
            if polygons is not None:
                areas.append(draw_polygons(polygons, photo.width, photo.height))
            if masks:
                areas.append(mask_from_photo(masks[min(index, len(masks) - 1)], photo, report))
        except RestoreError as error:
            raise error.about(photo.name) from error
        combined.append(np.logical_or.reduce(areas) if areas else None)
    return combined


def mask_from_photo(mask: Photo, photo: Photo, report: Report) -> np.ndarray:
    """Find the hole in a mask image, at the size of the photo; see `restore.imaging.mask_rules`.

    Args:
        mask: the mask image. With the photo's aspect ratio, within 1 %, it is resized to the
            photo's size. With the size that the photo had before it was turned upright by its EXIF
            orientation, it is turned too.
        photo: the photo to fill.
        report: receives a note on how the mask was read, and warnings if this is doubtful.

    Returns:
        HxW bool with at least one pixel.

    Raises:
        RestoreError: MASK for another aspect ratio, and for a mask without a hole.
    """
    name = f"the mask '{mask.name}'"
    mask = _fitted(mask, photo, report)
    try:
        reading = read_hole(
            mask.pixels, mask.alpha, photo.pixels, lossy=mask.format in LOSSY_FORMATS
        )
    except UnreadableMaskError as error:
        raise RestoreError(Code.MASK, f"{name} marks no hole: {error}", _REMEDY) from error
    hole = resize_mask(reading.hole, (photo.width, photo.height))
    if not hole.any():
        reason = f"{name} marks no hole at the photo's size: it was read {reading.how}"
        raise RestoreError(Code.MASK, reason, _REMEDY)
    report.notes.append(f"{name} was read {reading.how} ({hole.mean():.1%} of the photo)")
    for doubt in _doubts(reading, hole):
        report.warn(f"{name}: {doubt}")
    return hole


def transparent_hole(photo: Photo, report: Report) -> np.ndarray | None:
    """Return the transparent part of a photo as the hole, or None if it is opaque.

    It is what an image editor leaves of an area that was erased. A photo of one alpha value, such
    as 50 % everywhere, has no hole.

    Args:
        photo: the photo to fill, for which the request has no mask and no polygons.
        report: receives a note, and a warning if the hole is very large.
    """
    if photo.alpha is None:
        return None
    hole = erased_part(photo.alpha)
    if not hole.any():
        return None
    share = float(hole.mean())
    report.notes.append(f"its transparent part was taken for the hole ({share:.1%} of the photo)")
    if share > MAX_HOLE_SHARE:
        report.warn(
            f"the transparent part is {share:.0%} of the photo and was filled, because there is no"
            " mask; send a mask to fill another part"
        )
    return hole


def _fitted(mask: Photo, photo: Photo, report: Report) -> Photo:
    """Turn a mask like its photo if need be, and check that it has the photo's aspect ratio.

    Raises:
        RestoreError: MASK.
    """
    size = f"the mask '{mask.name}' has {mask.width}x{mask.height} pixels"
    if (mask.width, mask.height) == (photo.width, photo.height):
        return mask
    if _has_aspect(mask, photo.width, photo.height):
        report.warn(
            f"{size}, the photo {photo.width}x{photo.height}:"
            " the mask was resized to the photo's size"
        )
        return mask
    is_turned = photo.orientation >= FIRST_TRANSPOSED > mask.orientation
    if is_turned and (mask.width, mask.height) == (photo.height, photo.width):
        report.warn(f"{size}: it was turned like the photo, by the photo's EXIF orientation")
        alpha = None if mask.alpha is None else turn_upright(mask.alpha, photo.orientation)
        return mask.with_pixels(turn_upright(mask.pixels, photo.orientation), alpha)
    raise RestoreError(
        Code.MASK,
        f"{size}, the photo {photo.width}x{photo.height}",
        "Send a mask of the photo's size.",
    )


def _has_aspect(mask: Photo, width: int, height: int) -> bool:
    return abs(mask.width * height / (mask.height * width) - 1) <= MAX_ASPECT_DIFFERENCE


def _doubts(reading: MaskReading, hole: np.ndarray) -> tuple[str, ...]:
    share = float(hole.mean())
    if share <= MAX_HOLE_SHARE:
        return reading.doubts
    return (
        *reading.doubts,
        f"its hole covers {share:.0%} of the photo; if the other part is to be filled, invert the"
        " mask (Colors > Invert in GIMP; for a transparent mask, paint the hole white on black)",
    )
