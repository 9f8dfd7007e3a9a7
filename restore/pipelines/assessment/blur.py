"""Width of the sharpest edges of a photo, by direction: defocus and camera shake."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

REACH_PX = 10
"""Pixels on either side of an edge over which its rise is followed."""

SECTORS = 4
"""Directions that are distinguished: shake widens the edges across it, not those along it."""

SMOOTHING_PX = 0.8
"""Standard deviation of the filter against noise. It makes a step of one pixel 2 px wide."""

MIN_SLOPE_LEVELS = 4.0
"""Slope per pixel from which there is an edge."""

MIN_EDGES = 60
"""Edges of a direction that are needed to measure it."""

STRONGEST_SHARE, MAX_STRONGEST = 0.25, 1500
"""Of the edges of a direction that count. Weak edges are often soft objects."""

MIN_RISE = 0.15
"""An edge reaches as far as the slope is at least this share of its steepest one."""

PERCENTILE = 25.0
"""Of the widths of a direction: objects out of the plane of focus are blurred in sharp photos."""


@dataclass(frozen=True)
class EdgeWidths:
    """Widths of the sharpest edges in pixels: height over steepest slope.

    Attributes:
        widest_px: of the direction in which they are widest.
        narrowest_px: of the direction in which they are narrowest.
    """

    widest_px: float
    narrowest_px: float


def measure_edges(luminance: np.ndarray) -> EdgeWidths | None:
    """Measure the edges of HxW uint8; None if it has too few.

    The edge widths of a photo blurred by a Gaussian are about 2.5 standard deviations.
    """
    plane = cv2.GaussianBlur(luminance.astype(np.float32), (0, 0), SMOOTHING_PX)
    across = cv2.Sobel(plane, -1, 1, 0, scale=1 / 8)
    down = cv2.Sobel(plane, -1, 0, 1, scale=1 / 8)
    slopes = cv2.magnitude(across, down)
    rows, columns = _edges(slopes)
    steepest = slopes[rows, columns]
    directions = np.stack([across[rows, columns], down[rows, columns]]) / steepest
    angles_deg = np.degrees(np.arctan2(directions[1], directions[0])) % 180.0
    sectors = np.round(angles_deg / (180.0 / SECTORS)) % SECTORS
    measured = []
    for sector in range(SECTORS):
        (edges,) = np.nonzero(sectors == sector)
        if len(edges) < MIN_EDGES:
            continue
        count = max(MIN_EDGES // 2, min(MAX_STRONGEST, int(len(edges) * STRONGEST_SHARE)))
        edges = edges[np.argsort(-steepest[edges])[:count]]
        widths = _widths(plane, rows[edges], columns[edges], directions[:, edges], steepest[edges])
        measured.append(float(np.percentile(widths, PERCENTILE)))
    return EdgeWidths(max(measured), min(measured)) if measured else None


def _edges(slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the local maxima of HxW slopes, away from the border."""
    border = REACH_PX + 1
    inner = np.zeros_like(slopes)
    inner[border:-border, border:-border] = slopes[border:-border, border:-border]
    is_peak = (inner >= cv2.dilate(inner, np.ones((3, 3), np.uint8))) & (inner > MIN_SLOPE_LEVELS)
    rows, columns = np.nonzero(is_peak)
    return rows, columns


def _widths(
    plane: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    directions: np.ndarray,
    steepest: np.ndarray,
) -> np.ndarray:
    """Return the width of each edge, along its gradient.

    Args:
        plane: HxW float32.
        rows, columns: the N edges.
        directions: 2xN unit vectors (x, y).
        steepest: N slopes.
    """
    offsets = np.arange(-REACH_PX, REACH_PX + 1, dtype=np.float32)
    x = (columns[:, None] + directions[0][:, None] * offsets).astype(np.float32)
    y = (rows[:, None] + directions[1][:, None] * offsets).astype(np.float32)
    rises = np.diff(cv2.remap(plane, x, y, cv2.INTER_LINEAR), axis=1)
    belongs = rises > MIN_RISE * steepest[:, None]
    after = np.cumprod(belongs[:, REACH_PX:], axis=1) * rises[:, REACH_PX:]
    before = np.cumprod(belongs[:, REACH_PX - 1 :: -1], axis=1) * rises[:, REACH_PX - 1 :: -1]
    heights: np.ndarray = after.sum(axis=1) + before.sum(axis=1)
    return np.asarray(heights / steepest)
