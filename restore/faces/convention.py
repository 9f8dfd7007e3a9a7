"""The two official ways of finding, cutting and pasting faces, as data: CodeFormer's helper and facexlib's (GFPGAN, RestoreFormer).

What they share (template, crop of 512 px, parser, parse mask) is in `align` and `masks`; here is only where they part.
Source: sczhou/CodeFormer facelib/utils/face_restoration_helper.py and xinntao/facexlib utils/face_restoration_helper.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import cv2
import numpy as np

Array = np.ndarray


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
        enlarges_to_px: photos with a shorter short side are enlarged to it first, and so is all that follows. A quirk: without
            quirks a result is what was asked for, 300x380 times 2 is 600x760.
        eye_distance_bug: the distance of the eyes is computed from the wrong numbers. A quirk.
    """

    name: str
    detect_short_side_px: int | None
    score_threshold: float
    min_eye_distance_px: float
    square_mask: bool
    matches_grey: bool
    background_interpolation: int
    enlarges_to_px: int | None
    eye_distance_bug: bool


CODEFORMER = Convention(
    name="codeformer",
    detect_short_side_px=640,
    score_threshold=0.8,
    min_eye_distance_px=5.0,
    square_mask=True,
    matches_grey=True,
    background_interpolation=cv2.INTER_LINEAR,
    enlarges_to_px=512,
    eye_distance_bug=True,
)

FACEXLIB = Convention(
    name="facexlib",
    detect_short_side_px=None,
    score_threshold=0.97,
    min_eye_distance_px=5.0,
    square_mask=False,
    matches_grey=False,
    background_interpolation=cv2.INTER_LANCZOS4,
    enlarges_to_px=None,
    eye_distance_bug=False,
)

CONVENTIONS: Mapping[str, Convention] = MappingProxyType(
    {row.name: row for row in (CODEFORMER, FACEXLIB)}
)


def enlarged(pixels: Array, convention: Convention) -> Array:
    """Enlarge a small photo as the convention does before anything else; only for exact parity (quirks).

    HxWx3 of any dtype in and out; the same array where the photo is large enough or the convention enlarges nothing.
    """
    wanted_px, short_px = convention.enlarges_to_px, min(pixels.shape[:2])
    if wanted_px is None or short_px >= wanted_px:
        return pixels
    factor = wanted_px / short_px
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
