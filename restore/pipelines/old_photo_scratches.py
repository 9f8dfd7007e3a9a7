"""Scratch detection with the lite network at several sizes, so that wide damage is found too."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
import torch
from torch import nn

from restore.imaging.convert import to_8_bits, to_grey
from restore.imaging.photo import Photo
from restore.pipelines.old_photo_rarity import adapt_to_rarity
from restore.pipelines.old_photo_strips import (
    Window,
    components,
    dilate,
    edge_distances,
    is_outline,
    measure_sides,
    measure_strip,
)
from restore.pipelines.old_photo_wide_damage import (
    MIN_ELONGATION,
    fit_to_levels,
    keep_wide_damage,
    probability_at,
)
from restore.pipelines.rules import PixelRules
from restore.runtime.output_checks import checked_output

MAX_LONG_SIDE_PX = 1280
"""Long side at which thin scratches are detected: the network knows widths of 1 to 10 pixels."""

COARSE_LONG_SIDES_PX = (320, 160)
"""Long sides at which wide damage is detected: 3 % of them is 10 and 5 pixels."""

MIN_REDUCTION = 1.4
"""Factor by which a size must be smaller than the one before, to be worth a detection."""

ROTATIONS = 4
"""Rotations by 90 degrees over which the scratch probability is averaged."""

MASK_MARGIN_PX = 2
"""Pixels around a scratch that are filled too, because its edges are blended with the scratch."""

MIN_CERTAINTY = 0.4
"""Mean probability of a group of areas, from 0 at the threshold to 1. A scratch is distinct along
its whole course; of a lattice or a branch, some pixels reach the threshold."""

GROUP_GAP_PX = 16
"""Gap up to which areas belong to a group: a scratch is often detected in pieces."""

MIN_BORDER_PX = 20.0
"""Length from which a strip may be the border of an object."""

MIN_BORDER_WIDTH_PX = 6.0
"""Width from which it may be. Most scratches are thinner."""

MAX_SIDE_DIFFERENCE_LEVELS = 50.0
"""Difference of the two sides of a strip above which it is the border of an object, such as the rim
of a helmet. A scratch runs across objects."""

MAX_ROUGHNESS = 0.12
"""Roughness of the smoother edge of a border, in widths. A crack is rough on both sides."""

MAX_SPOT_PX = 10
"""Width of a compact area that may be a spot or a hole, in a small photo."""

MAX_SPOT_WIDTH = 0.03
"""Likewise, as a fraction of the long side. The network also marks what is flat and distinct: a
stripe of a flag, the eyes of a drawing, a collar."""

MIN_SPOTS_LONG_SIDE_PX = 320
"""Long side from which spots are filled in a photo without other damage. In a smaller one, a spot
of 3 pixels may be the eye of an animal, a nostril or a button."""

MIN_SMALL_LENGTH = 0.05
"""Length that other damage in such a photo must have, in diagonals of the photo."""

MIN_BORDER_ELONGATION = 4.0
"""Length of the border of an object in widths."""


def find_scratches_lite(photo: Photo, net: nn.Module, threshold: float) -> np.ndarray:
    """Detect scratches with the lite network.

    Args:
        photo: any photo; detected at a long side of at most MAX_LONG_SIDE_PX.
        net: the lite scratch network.
        threshold: probability from which a pixel is a scratch.

    Returns:
        HxW bool: the scratches and MASK_MARGIN_PX around them.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    luminance = reduce_to(to_grey(to_8_bits(photo.pixels)), MAX_LONG_SIDE_PX)
    scratches = detect_scratches_lite(luminance, net, threshold)
    mask = dilate(scratches, MASK_MARGIN_PX).astype(np.uint8)
    return cv2.resize(mask, (photo.width, photo.height), interpolation=cv2.INTER_NEAREST) > 0


def detect_scratches_lite(
    luminance: np.ndarray, net: nn.Module, threshold: float, *, is_adapted: bool = True
) -> np.ndarray:
    """Detect thin scratches and wide damage in HxW uint8; as `find_scratches_lite`, no margin.

    Args:
        luminance: HxW uint8.
        net: the lite scratch network.
        threshold: probability from which a pixel is a scratch.
        is_adapted: whether the probabilities of thin scratches are adapted to how rare these are in
            the photo. If not, areas that hardly reach the threshold on average are left out.

    Returns:
        HxW bool.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    probability = scratch_probability_lite(luminance, net)
    if is_adapted:
        probability = adapt_to_rarity(probability)
    scratches = probability >= threshold
    # Above this share the caller fills nothing and adds a warning with the whole share.
    if scratches.mean() <= PixelRules.max_scratched_share:
        if not is_adapted:
            scratches = keep_certain(probability, threshold)
        scratches = drop_objects(luminance, scratches)
    for small in _coarse_luminances(luminance):
        wide = keep_wide_damage(small, scratch_probability_lite(small, net), threshold)
        scratches |= fit_to_levels(luminance, wide, dilate(scratches, MASK_MARGIN_PX))
    return scratches


def reduce_to(luminance: np.ndarray, long_side_px: int) -> np.ndarray:
    """Reduce HxW uint8 to a long side; return a smaller picture unchanged."""
    factor = long_side_px / max(luminance.shape)
    if factor >= 1.0:
        return luminance
    height, width = (max(1, round(side * factor)) for side in luminance.shape)
    return cv2.resize(luminance, (width, height), interpolation=cv2.INTER_AREA)


def scratch_probability_lite(luminance: np.ndarray, net: nn.Module) -> np.ndarray:
    """Predict the probability of scratches, averaged over four rotations of the photo.

    The average over rotations (self-ensemble, Timofte et al., CVPR 2016) raises F1 by 0.01.

    Args:
        luminance: HxW uint8.
        net: the lite scratch network.

    Returns:
        HxW float32 in [0, 1].

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    device = next(net.parameters()).device
    tensor = torch.from_numpy(luminance.astype(np.float32) / 255.0)[None, None].to(device)
    total = torch.zeros_like(tensor)
    with torch.inference_mode():
        for turns in range(ROTATIONS):
            rotated = torch.rot90(tensor, turns, (2, 3)).contiguous()
            total += torch.rot90(net(rotated), -turns, (2, 3))
        logits = checked_output(total, tensor, "lite scratches") / ROTATIONS
        return np.asarray(torch.sigmoid(logits)[0, 0].cpu().numpy())


def drop_objects(luminance: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return what was found, except areas that may be objects of the photo.

    Args:
        luminance: HxW uint8.
        found: HxW bool.

    Returns:
        HxW bool.
    """
    kept = found.copy()
    for window, region in components(found, margin_px=0):
        if _is_object(luminance, window, region):
            kept[window] &= ~region
    if max(luminance.shape) < MIN_SPOTS_LONG_SIDE_PX and not _has_long_area(kept):
        kept[:] = False
    return kept


def _has_long_area(mask: np.ndarray) -> bool:
    """Tell whether an area of HxW bool has MIN_SMALL_LENGTH, measured along its box."""
    min_length_px = MIN_SMALL_LENGTH * math.hypot(*mask.shape)
    return any(
        math.hypot(*region.shape) >= min_length_px for _, region in components(mask, margin_px=0)
    )


def keep_certain(probability: np.ndarray, threshold: float) -> np.ndarray:
    """Return the pixels of the groups of areas whose mean probability is well above a threshold.

    Args:
        probability: HxW in [0, 1], that of scratches.
        threshold: probability from which a pixel is a scratch.

    Returns:
        HxW bool.
    """
    found = probability >= threshold
    count, groups = cv2.connectedComponents(dilate(found, GROUP_GAP_PX // 2).astype(np.uint8))
    sizes = np.bincount(groups[found], minlength=count)
    means = np.bincount(groups[found], probability[found], count) / np.maximum(sizes, 1)
    is_certain = means >= probability_at(MIN_CERTAINTY, threshold)
    return np.asarray(found & is_certain[groups], np.bool_)


def _is_object(luminance: np.ndarray, window: Window, region: np.ndarray) -> bool:
    """Tell whether an area is an outline, wider than a spot and compact, or between two objects."""
    if is_outline(region):
        return True
    width_px, length_px = measure_strip(edge_distances(region))
    max_width_px = max(MAX_SPOT_PX, MAX_SPOT_WIDTH * max(luminance.shape))
    if width_px > max_width_px and length_px < MIN_ELONGATION * width_px:
        return True
    min_length_px = max(MIN_BORDER_PX, MIN_BORDER_ELONGATION * width_px)
    if width_px < MIN_BORDER_WIDTH_PX or length_px < min_length_px:
        return False
    sides = measure_sides(luminance, window, region, width_px)
    return (
        sides is not None
        and sides.difference_levels > MAX_SIDE_DIFFERENCE_LEVELS
        and sides.roughness_px < MAX_ROUGHNESS * width_px
    )


def _coarse_luminances(luminance: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the photo at each coarse size that is clearly smaller than the one before."""
    previous_px = max(luminance.shape)
    for long_side_px in COARSE_LONG_SIDES_PX:
        if previous_px >= MIN_REDUCTION * long_side_px:
            yield reduce_to(luminance, long_side_px)
            previous_px = long_side_px
