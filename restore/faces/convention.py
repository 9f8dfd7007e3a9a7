"""The two official ways to detect, align and paste faces, as data.

CodeFormer has its own helper; GFPGAN and RestoreFormer use facexlib's. This module holds only their
differences; what they share (template, crop of 512 px, parser, mask) is in `align` and `masks`.
Sources: sczhou/CodeFormer facelib/utils/face_restoration_helper.py and xinntao/facexlib
facexlib/utils/face_restoration_helper.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2


@dataclass(frozen=True)
class Convention:
    """How one official helper treats a photo and its faces.

    Attributes:
        name: the name in manifest rows and reports.
        detect_short_side_px: the photo is resized to this short side for the detector; None for
            the photo's own size.
        score_threshold: detections with a lower score are dropped.
        min_eye_distance_px: faces whose eyes are closer to each other are skipped.
        square_mask: the mask is limited by the square of the crop, eroded and blurred.
        matches_grey: in a grey photo, a restored face becomes grey and gets the mean and standard
            deviation of its crop.
        background_interpolation: OpenCV's interpolation flag for the photo around the faces, if
            no network enlarges it.
    """

    name: str
    detect_short_side_px: int | None
    score_threshold: float
    min_eye_distance_px: float
    square_mask: bool
    matches_grey: bool
    background_interpolation: int


CODEFORMER = Convention(
    name="codeformer",
    detect_short_side_px=640,
    score_threshold=0.8,
    min_eye_distance_px=5.0,
    square_mask=True,
    matches_grey=True,
    background_interpolation=cv2.INTER_LINEAR,
)

FACEXLIB = Convention(
    name="facexlib",
    detect_short_side_px=None,
    score_threshold=0.97,
    min_eye_distance_px=5.0,
    square_mask=False,
    matches_grey=False,
    background_interpolation=cv2.INTER_LANCZOS4,
)

CONVENTIONS: Mapping[str, Convention] = MappingProxyType(
    {convention.name: convention for convention in (CODEFORMER, FACEXLIB)}
)
