"""Measure the connected areas of a mask as if each were a strip: width, length, and its sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

SECTION_PX = 2
"""Length of a section of a strip."""

SIDE_DISTANCES_PX = (2, 3, 4)
"""Distances from the strip at which the levels of its sides are read."""

MIN_SECTIONS = 8
"""Sections that a strip needs to be measured."""

EDGE_DEGREE = 3
"""Degree of the curve that is fitted to an edge."""

MAX_EXTENT_WIDTHS = 3.0
"""Extent of a section across the main direction, in widths, up to which it has two sides. A network
of cracks has none."""

MIN_CONVEXITY = 0.9
"""Share of its convex hull that the outline of an object encloses. Crossing cracks have ends."""

MAX_OUTLINE_SHARE = 0.5
"""Share of the enclosed area that an outline itself covers at most; of a spot or strip, it is 1."""

Window = tuple[slice, slice]
"""Rows and columns of an area."""


@dataclass(frozen=True)
class Sides:
    """What is on both sides of a strip.

    Attributes:
        difference_levels: by how much their levels differ, the median over the sections.
        roughness_px: how much the smoother of the two edges differs from a smooth curve, RMS.
    """

    difference_levels: float
    roughness_px: float


def components(mask: np.ndarray, margin_px: int) -> Iterator[tuple[Window, np.ndarray]]:
    """Yield the window of each connected component, with a margin, and its HxW bool mask there."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    for label, (left, top, width, height, _) in enumerate(stats.tolist()[1:], start=1):
        rows = slice(max(0, top - margin_px), top + height + margin_px)
        columns = slice(max(0, left - margin_px), left + width + margin_px)
        yield (rows, columns), labels[rows, columns] == label


def dilate(mask: np.ndarray, radius_px: int) -> np.ndarray:
    """Extend an HxW bool mask by a radius, in squares."""
    kernel = np.ones((2 * radius_px + 1,) * 2, np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)


def edge_distances(region: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel of an HxW bool area to its edge, 0 outside."""
    area: np.ndarray = np.pad(region.astype(np.uint8), 1)
    return cv2.distanceTransform(area, cv2.DIST_L2, 3)[1:-1, 1:-1]


def is_outline(region: np.ndarray) -> bool:
    """Tell whether an HxW bool area is the closed outline of a convex shape, as in a drawing."""
    contours, _ = cv2.findContours(
        region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    contour = max(contours, key=cv2.contourArea)
    enclosed = cv2.contourArea(contour)
    is_ring = np.count_nonzero(region) < MAX_OUTLINE_SHARE * enclosed
    return bool(is_ring and enclosed > MIN_CONVEXITY * cv2.contourArea(cv2.convexHull(contour)))


def measure_strip(distances: np.ndarray) -> tuple[float, float]:
    """Return width and length in pixels of an area, as if it were a strip.

    Args:
        distances: from `edge_distances`.
    """
    inside = distances[distances > 0]
    # Twice the mean distance to the edge of a strip is half of its width.
    width_px = max(1.0, 4.0 * float(inside.mean()) - 1.0)
    return width_px, inside.size / width_px


def measure_sides(
    luminance: np.ndarray, window: Window, region: np.ndarray, width_px: float
) -> Sides | None:
    """Compare the two sides of a strip.

    Args:
        luminance: HxW uint8, the photo.
        window, region: the strip, from `components`.
        width_px: its width.

    Returns:
        None if the strip is short, or if less than half of its sections have two sides.
    """
    points = np.argwhere(region) + np.array([window[0].start, window[1].start])
    centre = points.mean(axis=0)
    axes = np.linalg.eigh(np.cov((points - centre).T))[1]  # across the main direction, and along it
    across, along = ((points - centre) @ axes).T
    numbers = ((along - along.min()) / SECTION_PX).astype(int)
    used = np.unique(numbers)
    first, last = np.full(numbers.max() + 1, np.inf), np.full(numbers.max() + 1, -np.inf)
    np.minimum.at(first, numbers, across)
    np.maximum.at(last, numbers, across)
    sided = used[last[used] - first[used] <= MAX_EXTENT_WIDTHS * width_px]
    if len(sided) < max(MIN_SECTIONS, len(used) / 2):
        return None
    middles = along.min() + SECTION_PX * (sided + 0.5)
    edges = first[sided], last[sided]
    levels = [
        _levels_at(luminance, np.stack([edge + offset_px, middles], axis=1) @ axes.T + centre)
        for edge, direction in zip(edges, (-1, 1), strict=True)
        for offset_px in direction * np.array(SIDE_DISTANCES_PX)
    ]
    one, other = np.reshape(levels, (2, len(SIDE_DISTANCES_PX), -1)).mean(axis=1)
    roughness = min(_roughness_px(middles, edge) for edge in edges)
    return Sides(float(np.median(np.abs(one - other))), roughness)


def _roughness_px(along: np.ndarray, edge: np.ndarray) -> float:
    curve = np.polynomial.Polynomial.fit(along, edge, EDGE_DEGREE)
    return float(np.sqrt(np.mean((edge - curve(along)) ** 2)))


def _levels_at(luminance: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the levels at Nx2 positions (y, x), interpolated; N values."""
    y, x = places.astype(np.float32).T[:, None]
    levels = cv2.remap(luminance, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return levels.reshape(-1)
