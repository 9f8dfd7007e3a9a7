"""pipeline: the steps that a photo seems to need, where a request does not name them."""

from __future__ import annotations

import numpy as np

from restore.faces.colour import tone
from restore.faces.convention import CODEFORMER
from restore.faces.detect import Detector
from restore.options import Step
from restore.photo import Photo
from restore.pipelines.job import in_colour

SMALL_PX = 1000  # a long side below this fills no screen


def proposed_steps(photo: Photo, detector: Detector, *, has_hole: bool = False) -> list[tuple[Step, str]]:
    """Steps for a photo in a sensible order, each with what was seen.

    A hole is filled where a mask shows one, grey is coloured, faces are restored, few pixels enlarged.
    """
    pixels = in_colour(photo.pixels)
    eight_bits = pixels if pixels.dtype == np.uint8 else np.rint(pixels / 257.0).astype(np.uint8)
    steps: list[tuple[Step, str]] = [("inpaint", "the request has a mask")] if has_hole else []
    seen = tone(pixels)
    if seen != "colour":
        steps.append(("colorize", "the photo is grey" if seen == "grey" else "the photo is of one tone"))
    faces = detector.find(eight_bits, short_side_px=CODEFORMER.detect_short_side_px, threshold=CODEFORMER.score_threshold)
    if faces:
        steps.append(("face_restore", f"{detector.name} sees {len(faces)} face{'s' if len(faces) > 1 else ''}"))
    if max(photo.width, photo.height) < SMALL_PX:
        steps.append(("upscale", f"its long side has {max(photo.width, photo.height)} pixels, less than {SMALL_PX}"))
    return steps
