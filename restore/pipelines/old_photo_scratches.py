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
from restore.pipelines.old_photo_strips import (
    Window,
    components,
    edge_distances,
    is_outline,
    keep_long_groups,
    label_groups,
    measure_sides,
    measure_strip,
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

MIN_COARSE_THRESHOLD = 0.5
"""Probability that wide damage needs at least. Small objects are thin lines in a reduced photo."""

MIN_WIDE_CERTAINTY = 0.76
"""Mean probability of wide damage, from 0 at the threshold to 1. Petals, trunks and stripes, which
are thin in a reduced photo, are detected less surely than tears."""

MIN_CROSSING = 0.9
"""Share of the width or height of the photo from which wide damage crosses it, and need not be
certain."""

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
"""Long side from which spots are filled alone. In a smaller photo, a spot of 3 pixels may be the
eye of an animal, a nostril or a button."""

MIN_SMALL_LENGTH = 0.05
"""Length of one area of each group in such a photo, in diagonals of the photo."""

MIN_WIDE_LENGTH = 0.15
"""Length of wide damage, as a fraction of the long side."""

MIN_ELONGATION = 6.0
"""Length of wide damage in widths."""

MIN_BORDER_ELONGATION = 4.0
"""Length of the border of an object in widths."""

MAX_WIDTH = 0.075
"""Width of wide damage, as a fraction of the long side; a wider area is a part of the photo."""

FRAME_WIDTH = 0.05
"""Width of the frame of a print, as a fraction of each side; strips inside of it are kept."""

MAX_WIDE_SPREAD_LEVELS = 16.0
"""Standard deviation of the levels inside of wide damage: bare paper, a crack or tape is flat."""

MIN_WIDE_CONTRAST_LEVELS = 25.0
"""Difference between wide damage and the photo on either side of it."""

RING_PX = 4
"""Width of the ring around wide damage that it is compared with."""


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
    kernel = np.ones((2 * MASK_MARGIN_PX + 1,) * 2, np.uint8)
    mask = cv2.dilate(scratches.astype(np.uint8), kernel)
    return cv2.resize(mask, (photo.width, photo.height), interpolation=cv2.INTER_NEAREST) > 0


def detect_scratches_lite(luminance: np.ndarray, net: nn.Module, threshold: float) -> np.ndarray:
    """Detect thin scratches and wide damage in HxW uint8; as `find_scratches_lite`, no margin.

    Returns:
        HxW bool.
    """
    probability = scratch_probability_lite(luminance, net)
    scratches = probability >= threshold
    # Above this share the caller fills nothing and adds a warning with the whole share.
    if scratches.mean() <= PixelRules.max_scratched_share:
        scratches = drop_objects(luminance, probability, threshold)
    for small in _coarse_luminances(luminance):
        wide = keep_wide_damage(small, scratch_probability_lite(small, net), threshold)
        scratches |= _fit_to_levels(luminance, wide)
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


def drop_objects(luminance: np.ndarray, probability: np.ndarray, threshold: float) -> np.ndarray:
    """Return the pixels that reach a threshold, except areas that may be objects of the photo.

    Args:
        luminance: HxW uint8.
        probability: HxW in [0, 1], that of scratches.
        threshold: probability from which a pixel is a scratch.

    Returns:
        HxW bool.
    """
    found = probability >= threshold
    kept: np.ndarray = found & _are_certain(found, probability, threshold)
    for window, region in components(found, margin_px=0):
        if _is_object(luminance, window, region):
            kept[window] &= ~region
    if max(luminance.shape) < MIN_SPOTS_LONG_SIDE_PX:
        min_length_px = MIN_SMALL_LENGTH * math.hypot(*luminance.shape)
        kept = keep_long_groups(kept, GROUP_GAP_PX, min_length_px)
    return kept


def _are_certain(found: np.ndarray, probability: np.ndarray, threshold: float) -> np.ndarray:
    """Return the pixels of the groups of areas whose mean probability is well above a threshold."""
    count, groups = label_groups(found, GROUP_GAP_PX)
    sizes = np.bincount(groups[found], minlength=count)
    means = np.bincount(groups[found], probability[found], count) / np.maximum(sizes, 1)
    min_mean = _probability_at(MIN_CERTAINTY, threshold)
    return np.asarray((means >= min_mean)[groups], np.bool_)


def _probability_at(certainty: float, threshold: float) -> float:
    """Return the probability of a certainty, which is 0 at the threshold and 1 at probability 1."""
    return threshold + certainty * (1.0 - threshold)


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


def keep_wide_damage(
    luminance: np.ndarray, probability: np.ndarray, threshold: float
) -> np.ndarray:
    """Return what is distinct, long, flat, and lighter or darker than the photo on both sides.

    Args:
        luminance: HxW uint8, reduced.
        probability: HxW in [0, 1], that of scratches.
        threshold: probability from which a pixel is a scratch, at least MIN_COARSE_THRESHOLD here.

    Returns:
        HxW bool.
    """
    threshold = max(threshold, MIN_COARSE_THRESHOLD)
    found = probability >= threshold
    min_mean = _probability_at(MIN_WIDE_CERTAINTY, threshold)
    kept = np.zeros_like(found)
    inner = _inside_frame(found.shape)
    for window, region in components(found, margin_px=RING_PX):
        in_photo = region & inner[window]
        if (
            in_photo.sum() > 0.5 * region.sum()
            and (_crosses(region, found.shape) or probability[window][region].mean() >= min_mean)
            and _is_wide_damage(luminance[window], region, max(found.shape))
        ):
            kept[window] |= region
    return kept


def _crosses(region: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Tell whether an HxW bool area extends over the width or the height of a photo."""
    _, _, width, height = cv2.boundingRect(region.astype(np.uint8))
    return height >= MIN_CROSSING * shape[0] or width >= MIN_CROSSING * shape[1]


def _inside_frame(shape: tuple[int, ...]) -> np.ndarray:
    inner = np.zeros(shape, bool)
    top, left = (math.ceil(FRAME_WIDTH * side) for side in shape)
    inner[top : shape[0] - top, left : shape[1] - left] = True
    return inner


def _coarse_luminances(luminance: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the photo at each coarse size that is clearly smaller than the one before."""
    previous_px = max(luminance.shape)
    for long_side_px in COARSE_LONG_SIDES_PX:
        if previous_px >= MIN_REDUCTION * long_side_px:
            yield reduce_to(luminance, long_side_px)
            previous_px = long_side_px


def _is_wide_damage(luminance: np.ndarray, region: np.ndarray, long_side_px: int) -> bool:
    area: np.ndarray = region.astype(np.uint8)
    distances = edge_distances(region)
    width_px, length_px = measure_strip(distances)
    if width_px > MAX_WIDTH * long_side_px:
        return False
    if length_px < max(MIN_WIDE_LENGTH * long_side_px, MIN_ELONGATION * width_px):
        return False
    levels = luminance.astype(np.float32)
    inside = levels[region & (distances >= min(2.0, float(distances.max())))]
    if float(inside.std()) > MAX_WIDE_SPREAD_LEVELS:
        return False
    kernel = np.ones((2 * RING_PX + 1,) * 2, np.uint8)
    near = cv2.dilate(area, np.ones((3, 3), np.uint8)) > 0
    around = levels[(cv2.dilate(area, kernel) > 0) & ~near]
    difference = float(np.median(inside)) - around
    quartiles = np.percentile(difference, (25.0, 75.0))
    return bool(quartiles[0] > MIN_WIDE_CONTRAST_LEVELS or quartiles[1] < -MIN_WIDE_CONTRAST_LEVELS)


def _fit_to_levels(luminance: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Enlarge a coarse mask; extend it to adjacent pixels of the same levels.

    Args:
        luminance: HxW uint8.
        coarse: hxw bool, smaller.

    Returns:
        HxW bool.
    """
    height, width = luminance.shape
    enlarged = cv2.resize(coarse.astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    reach_px = 2 * round(max(luminance.shape) / max(coarse.shape))
    kernel = np.ones((2 * reach_px + 1,) * 2, np.uint8)
    fitted = enlarged > 0
    for window, region in components(enlarged > 0, margin_px=reach_px):
        levels = luminance[window].astype(np.float32)
        is_alike = np.abs(levels - np.median(levels[region])) < MIN_WIDE_CONTRAST_LEVELS
        near = cv2.dilate(region.astype(np.uint8), kernel) > 0
        fitted[window] |= near & is_alike
    return fitted
