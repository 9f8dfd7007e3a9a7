"""pipeline: the steps that a photo seems to need, where a request does not name them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np
from torch import nn

from restore.faces.colour import tone
from restore.faces.convention import CODEFORMER
from restore.faces.detect import Detector
from restore.imaging.photo import Photo
from restore.options import Step
from restore.pipelines.job import eight_bits, in_colour
from restore.pipelines.old_photo_lite import scratches

SMALL_PX = 1000  # a long side below this fills no screen
SURE = 0.9  # probability of a scratch
LONG_SHARE = 0.08  # of the diagonal, from which a scratch is none of the specks that foliage and snow are full of
SCRATCHED_SHARE = (
    0.06  # of a photo, in long scratches and their edges: busy streets reach 0.05 without any
)

PROPOSED_WITH: Mapping[Step, Mapping[str, object]] = MappingProxyType(
    {"old_photo_restore": {"with_scratch": True, "with_face": False}}
)
"""Options of a step that was proposed: for scratches alone, as faces are a step of their own."""


def proposed_steps(
    photo: Photo, detector: Detector, scratch_net: nn.Module, *, has_hole: bool = False
) -> list[tuple[Step, str]]:
    """Steps for a photo in a sensible order, each with what was seen.

    A hole is filled where a mask shows one, scratches are filled, grey is coloured, faces are restored, few pixels enlarged.

    Args:
        scratch_net: the lite network that finds scratches.
    """
    steps: list[tuple[Step, str]] = [("inpaint", "the request has a mask")] if has_hole else []
    scratched = long_scratches(photo, scratch_net)
    if scratched >= SCRATCHED_SHARE:
        steps.append(("old_photo_restore", f"long scratches cover {100 * scratched:.0f}% of it"))
    seen = tone(in_colour(photo.pixels))
    if seen != "colour":
        steps.append(
            ("colorize", "the photo is grey" if seen == "grey" else "the photo is of one tone")
        )
    pixels = in_colour(eight_bits(photo.pixels))
    faces = detector.find(
        pixels, short_side_px=CODEFORMER.detect_short_side_px, threshold=CODEFORMER.score_threshold
    )
    if faces:
        steps.append(
            (
                "face_restore",
                f"{detector.name} sees {len(faces)} face{'s' if len(faces) > 1 else ''}",
            )
        )
    if max(photo.width, photo.height) < SMALL_PX:
        steps.append(
            (
                "upscale",
                f"its long side has {max(photo.width, photo.height)} pixels, less than {SMALL_PX}",
            )
        )
    return steps


def long_scratches(photo: Photo, net: nn.Module) -> float:
    """The share of a photo that is surely scratched, specks and short strokes left out: what a photo may be said to need mending for."""
    mask = scratches(photo, net, SURE).astype(np.uint8)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    found = boxes[1:]  # the first is what is no scratch
    lengths = np.hypot(found[:, cv2.CC_STAT_WIDTH], found[:, cv2.CC_STAT_HEIGHT])
    areas = found[lengths > LONG_SHARE * np.hypot(photo.width, photo.height), cv2.CC_STAT_AREA]
    return float(areas.sum()) / mask.size
