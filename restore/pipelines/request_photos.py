"""Decodes the photos and masks of a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restore.faces.points import FacePoints
from restore.imaging.masks import combine_masks, transparent_hole
from restore.imaging.parallel import map_in_threads
from restore.imaging.photo import Photo
from restore.imaging.sources import Source, read_mask, read_source, source_name
from restore.options import Request
from restore.pipelines.face_selection import face_points_of
from restore.report import Report


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
    reports = [Report(photo=source_name(source), task=request.task) for source in sources]
    photos = map_in_threads(_read_photo, list(zip(sources, reports, strict=True)))
    for photo, report in zip(photos, reports, strict=True):
        report.input = photo.facts()
        report.notes += request.notes
        for warning in (*request.warnings, *photo.warnings):
            report.warn(warning)
    face_points = [face_points_of(request, photo) for photo in photos]
    points = request.options["inpaint"].points
    is_marked = bool(mask_sources) or points is not None
    masks: Sequence[np.ndarray | None] = [None] * len(photos)
    if is_marked and ("inpaint" in request.steps or not request.steps):
        masks = combine_masks(
            photos, [read_mask(source) for source in mask_sources], points, reports
        )
    elif is_marked:
        for report in reports:
            report.warn("mask, masks and points are only used by inpaint, so they were ignored")
    elif "inpaint" in request.steps:
        masks = [
            transparent_hole(photo, report) for photo, report in zip(photos, reports, strict=True)
        ]
    return [RequestPhoto(*item) for item in zip(photos, reports, masks, face_points, strict=True)]


def _read_photo(item: tuple[Source, Report]) -> Photo:
    source, report = item
    with report.stage("decode"):
        return read_source(source)
