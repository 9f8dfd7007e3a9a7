"""The hole that a mask marks in a photo: its size, and the step that fills it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from restore.pipelines.assessment.findings import Finding
from restore.pipelines.inpaint_checks import hole_width_px


def judge_hole(mask: np.ndarray) -> Iterator[Finding]:
    """Yield the share of a photo that its mask marks, and the width of its widest hole.

    Args:
        mask: HxW bool, True in the holes, which are not all of it.
    """
    share = 100.0 * float(mask.mean())
    yield Finding("hole_share", share, "% of the photo", "the request has a mask", "inpaint")
    width_px = hole_width_px(mask)
    words = f"its widest hole is about {width_px} pixels wide"
    yield Finding("hole_width", width_px, "px", words)
