"""Windows in which a long photo is coloured.

A colour network sees a square. A panorama that is squeezed to a square shows it nothing it knows:
with the lite network, one of 3000x200 pixels became green all over. A long photo is therefore split
along its long side into windows of equal length. Neighbouring windows overlap by half, and the
predicted colours change evenly from one to the next.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

WINDOW_ASPECT = 1.5
"""Longest window, in short sides of the photo. Four photos side by side (6 to 1) come out 15.2,
11.8 and 8.9 % closer to the original than grey with windows of 1.5, 2 and 3 short sides, and 0.9 %
as one square. docs/lite-training.md has figures for strips that were cut from photos."""

MAX_WINDOWS = 32
"""A photo of more than 24 short sides gets longer windows, which bounds the time."""

Window = tuple[slice, slice]
"""(rows, columns)"""


def split_into_windows(width: int, height: int, max_aspect: float) -> list[Window]:
    """Split a photo along its long side.

    Args:
        width: of the photo, pixels.
        height: of the photo, pixels.
        max_aspect: ratio of the sides up to which the photo is one window.

    Returns:
        Windows of about the same length in order; each starts in the middle of the one before. One
        window with the whole photo if its sides differ less.
    """
    long_px, short_px = max(width, height), min(width, height)
    if long_px <= max_aspect * short_px:
        return [(slice(height), slice(width))]
    halves = math.ceil(2.0 * long_px / (WINDOW_ASPECT * short_px))
    halves = min(halves, MAX_WINDOWS + 1, long_px)
    bounds = [round(index * long_px / halves) for index in range(halves + 1)]
    parts = [slice(start, end) for start, end in zip(bounds, bounds[2:], strict=False)]
    if width < height:
        return [(part, slice(width)) for part in parts]
    return [(slice(height), part) for part in parts]


def join_windows(predictions: list[Tensor], *, is_wide: bool) -> Tensor:
    """Join the predictions for the windows of a photo.

    Args:
        predictions: 1xCxSxS for each window; S is even.
        is_wide: whether the windows lie side by side, not one below the other.

    Returns:
        1xCxSxT or 1xCxTxS, where T is S / 2 times (number of windows + 1); a single prediction
        itself.
    """
    if len(predictions) == 1:
        return predictions[0]
    if not is_wide:
        return join_windows([each.mT for each in predictions], is_wide=True).mT
    half = predictions[0].shape[-1] // 2
    share = (torch.arange(half, device=predictions[0].device) + 0.5) / half
    blends = [
        torch.lerp(before[..., half:], after[..., :half], share)
        for before, after in itertools.pairwise(predictions)
    ]
    return torch.cat([predictions[0][..., :half], *blends, predictions[-1][..., half:]], dim=-1)
