"""The two official ways of finding, cutting and pasting faces, as data: CodeFormer's helper and facexlib's (GFPGAN, RestoreFormer).

What they share (template, crop of 512 px, parser, parse mask) is in `align` and `masks`; here is only where they part.
Source: sczhou/CodeFormer facelib/utils/face_restoration_helper.py and xinntao/facexlib utils/face_restoration_helper.py.
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
        name: as rows and reports call it.
        detect_short_side_px: the photo's short side as the detector sees it, up or down; None for the photo's own size.
        score_threshold: faces of a lower score are none.
        min_eye_distance_px: faces with eyes nearer to each other are skipped.
        square_mask: the parse mask is cut by the crop's own square, eroded and softened.
        matches_grey: the face of a grey photo turns grey and takes the mean and spread of what it replaces.
        background_interpolation: OpenCV's flag for the photo around the faces, where no network enlarged it.
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
    {row.name: row for row in (CODEFORMER, FACEXLIB)}
)
