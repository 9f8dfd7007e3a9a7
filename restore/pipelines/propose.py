"""pipeline with `steps=auto`: choose the steps that a photo seems to need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

import cv2
import numpy as np
from torch import nn

from restore.errors import RestoreError
from restore.faces.colour import classify_tone
from restore.faces.convention import CODEFORMER
from restore.faces.detect import Detector
from restore.faces.detector_cache import DetectorCache
from restore.faces.fit import CheckedFace
from restore.faces.search import find_faces
from restore.imaging.convert import to_8_bits, to_rgb
from restore.imaging.photo import Photo
from restore.models.cache import ModelCache
from restore.models.catalog import LITE
from restore.models.loader import Model
from restore.options import FACE, OLD_PHOTO, FaceOptions, Request, Step
from restore.pipelines.old_photo_scratches import find_scratches_lite
from restore.pipelines.request_photos import RequestPhoto
from restore.pipelines.rules import PixelRules
from restore.runtime.memory import translate_memory_errors

MIN_LONG_SIDE_PX = 1000
"""Photos with a shorter long side are upscaled."""

SCRATCH_THRESHOLD = 0.9
"""Probability of a scratch; high, so that only clear scratches count."""

MIN_SCRATCH_LENGTH = 0.08
"""As a fraction of the photo's diagonal. Foliage and snow contain many shorter structures."""

MIN_SCRATCHED_SHARE = 0.06
"""Fraction of the photo in long scratches. Busy streets without scratches reach 0.05."""

MAX_PAPER_SATURATION = 0.7
"""Saturation (HSV) of the lightest quarter of a toned photo. Sepia reaches 0.3, yellowed prints
0.55; graphics in one colour and photos of which a channel is missing 0.8 to 1."""

PROPOSED_OPTIONS: Mapping[Step, Mapping[str, object]] = MappingProxyType(
    {"old_photo_restore": {"with_scratch": True, "with_face": False}}
)
"""Options of proposed steps: old photos only get their scratches filled, faces are another step."""


@dataclass(frozen=True)
class Assessment:
    """What a photo seems to need.

    Attributes:
        steps: each step with the reason for it, in the order in which they run; empty if the photo
            needs none.
        faces: the detected faces, the highest score first; those with a reason do not fit.
    """

    steps: Sequence[tuple[Step, str]]
    faces: Sequence[CheckedFace]


@dataclass(frozen=True)
class Judge:
    """Chooses steps with the models that a request uses.

    Attributes:
        face_model: the face restoration network.
        detector: the face detector.
        scratch_net: the lite network that finds scratches.
        warnings: fallbacks that are used instead of what was requested.
    """

    face_model: Model
    detector: Detector
    scratch_net: nn.Module
    warnings: Sequence[str]

    @classmethod
    def load(cls, request: Request, models: ModelCache, detectors: DetectorCache) -> Self:
        """Load the models.

        Raises:
            RestoreError: any WEIGHTS_* code.
        """
        options: FaceOptions = request.options["face_restore"]
        face_model, warnings = models.get(FACE.task, options.variant(FACE))
        detector, fallback_warnings = detectors.get(
            options.face_detector, with_lite=face_model.variant == LITE
        )
        scratch_model, _ = models.get(OLD_PHOTO.task, LITE)
        return cls(face_model, detector, scratch_model.net, (*warnings, *fallback_warnings))

    def assess(self, item: RequestPhoto) -> Assessment:
        """Assess a photo of a request.

        Raises:
            RestoreError: BAD_NUMBERS, OUT_OF_MEMORY, naming the photo.
        """
        name = item.photo.name
        try:
            with item.report.stage("propose"), translate_memory_errors(name, "analysing"):
                return assess_photo(
                    item.photo, self.detector, self.scratch_net, has_mask=item.mask is not None
                )
        except RestoreError as error:
            raise error.about(name) from error


def assess_photo(
    photo: Photo, detector: Detector, scratch_net: nn.Module, *, has_mask: bool = False
) -> Assessment:
    """Find the faces of a photo and choose the steps that it seems to need.

    Args:
        photo: the photo.
        detector: the face detector.
        scratch_net: the lite network that finds scratches.
        has_mask: whether the request has a mask for the photo.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    steps: list[tuple[Step, str]] = []
    if has_mask:
        steps.append(("inpaint", "the request has a mask"))
    share = long_scratch_share(photo, scratch_net)
    if share >= MIN_SCRATCHED_SHARE:
        steps.append(("old_photo_restore", f"long scratches cover {100 * share:.0f}% of it"))
    rgb = to_rgb(to_8_bits(photo.pixels))
    photo_tone = classify_tone(rgb)
    if photo_tone != "colour" and not is_vivid(rgb):
        name = "grey" if photo_tone == "grey" else "of one tone"
        steps.append(("colorize", f"the photo is {name}"))
    checked = find_faces(
        detector,
        rgb,
        short_side_px=CODEFORMER.detect_short_side_px,
        threshold=CODEFORMER.score_threshold,
    )
    faces = [each for each in checked if not each.reason]
    if faces:
        plural = "s" if len(faces) > 1 else ""
        steps.append(("face_restore", f"{detector.name} found {len(faces)} face{plural}"))
    long_side_px = max(photo.width, photo.height)
    if long_side_px < MIN_LONG_SIDE_PX:
        reason = f"its long side has {long_side_px} pixels, less than {MIN_LONG_SIDE_PX}"
        steps.append(("upscale", reason))
    return Assessment(steps, checked)


def is_vivid(rgb: np.ndarray) -> bool:
    """Tell whether the light areas of HxWx3 uint8 are too saturated for a toned photo on paper."""
    small = cv2.resize(rgb, (64, 64), interpolation=cv2.INTER_AREA)
    saturations, values = cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2HSV))[1:]
    light = values >= np.percentile(values, 75)
    return float(saturations[light].mean()) / 255 > MAX_PAPER_SATURATION


def long_scratch_share(photo: Photo, net: nn.Module) -> float:
    """Return the fraction of a photo in clear, long scratches, without specks and short strokes.

    It is 0 if so much was detected that nothing would be filled.
    """
    found = find_scratches_lite(photo, net, SCRATCH_THRESHOLD)
    if found.mean() > PixelRules.max_scratched_share:
        return 0.0
    mask: np.ndarray = found.astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    components = stats[1:]  # the first is the background
    lengths = np.hypot(components[:, cv2.CC_STAT_WIDTH], components[:, cv2.CC_STAT_HEIGHT])
    is_long = lengths > MIN_SCRATCH_LENGTH * np.hypot(photo.width, photo.height)
    return float(components[is_long, cv2.CC_STAT_AREA].sum()) / mask.size
