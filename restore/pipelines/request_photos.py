"""Decodes the photos and masks of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from restore.faces.points import FacePoints
from restore.imaging.limits import LIMITS, Limits
from restore.imaging.masks import combine_masks, transparent_hole
from restore.imaging.parallel import map_in_threads
from restore.imaging.photo import Photo
from restore.imaging.reduce import reduce_mask, reduce_photo, reduced_size
from restore.imaging.sources import Source, read_mask, read_source, source_name
from restore.options import Request
from restore.pipelines.face_selection import face_points_of
from restore.report import Report
from restore.runtime.memory import translate_memory_errors


@dataclass(frozen=True)
class RequestPhoto:
    """A decoded photo of a request.

    Attributes:
        photo: the photo.
        report: its report.
        mask: HxW bool, True where it is to be filled; None without a mask.
        face_points: the points that select its faces; None if all faces are selected.
    """

    photo: Photo
    report: Report
    mask: np.ndarray | None = None
    face_points: FacePoints | None = None


def decode_photos(
    request: Request, sources: Sequence[Source], mask_sources: Sequence[Source]
) -> list[RequestPhoto]:
    """Decode the photos and masks of a request, and start the report of each photo.

    The photos are decoded in several threads; the error is that of the first photo that fails.

    Raises:
        RestoreError: any PHOTO_* code, MASK, OPTION_INVALID for points of faces.
    """
    limits = _limits_of(request)
    # A mask is read at the size of its photo, so that photo is reduced together with it.
    fills = request.uses_masks

    def read(source: Source) -> RequestPhoto:
        item = _read_photo(request, source, limits)
        return item if fills else _reduce(item, request)

    is_usual = limits is LIMITS  # larger photos need more memory
    items = map_in_threads(read, list(sources), together=is_usual)
    photos, reports = [item.photo for item in items], [item.report for item in items]
    points = request.options["inpaint"].points
    is_marked = bool(mask_sources) or points is not None
    masks: Sequence[np.ndarray | None] = [None] * len(photos)
    if is_marked and fills:
        masks = combine_masks(
            photos, [read_mask(source, limits) for source in mask_sources], points, reports
        )
    elif is_marked:
        for report in reports:
            report.warn("masks and points are only used by inpaint, so they were ignored")
    elif "inpaint" in request.steps:
        masks = [
            transparent_hole(photo, report) for photo, report in zip(photos, reports, strict=True)
        ]
    items = [replace(item, mask=mask) for item, mask in zip(items, masks, strict=True)]
    return [_reduce(item, request) for item in items] if fills else items


def _limits_of(request: Request) -> Limits:
    """Return the limits on the request's photos: larger ones are accepted if they are reduced."""
    if request.run.max_megapixels is None:
        return LIMITS
    return replace(LIMITS, max_pixels_in=LIMITS.max_pixels_reduced)


def _read_photo(request: Request, source: Source, limits: Limits) -> RequestPhoto:
    """Decode a photo and start its report."""
    report = Report(photo=source_name(source), task=request.task)
    with report.stage("decode"):
        photo = read_source(source, limits)
    report.input = photo.facts()
    report.notes += request.notes
    for warning in (*request.warnings, *photo.warnings):
        report.warn(warning)
    return RequestPhoto(photo, report, face_points=face_points_of(request, photo))


def _reduce(item: RequestPhoto, request: Request) -> RequestPhoto:
    """Reduce a photo with its mask; the points of faces are relative to its size as decoded."""
    photo, report, max_megapixels = item.photo, item.report, request.run.max_megapixels
    if max_megapixels is None:
        return item
    size = reduced_size(photo.width, photo.height, max_megapixels * 1e6)
    if size == (photo.width, photo.height):
        return item
    with translate_memory_errors(photo.name, "reducing"), report.stage("reduce"):
        reduced = reduce_photo(photo, size)
        mask = None if item.mask is None else reduce_mask(item.mask, size)
    report.warn(
        f"the photo was reduced from {photo.width}x{photo.height} to {size[0]}x{size[1]}, because"
        f" max_megapixels is {max_megapixels:g}; positions in the report are those in the"
        " reduced photo"
    )
    report.input["reduced_to"] = list(size)
    return replace(item, photo=reduced, mask=mask)
