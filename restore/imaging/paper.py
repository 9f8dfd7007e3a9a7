"""Find the paper or black frame around a scanned photo, which colorize leaves without colour."""

from __future__ import annotations

import cv2
import numpy as np

from restore.imaging.convert import to_8_bits, to_grey

LONG_SIDE_PX = 512
"""Long side at which paper is looked for."""

WHITE_LEVEL, BLACK_LEVEL = 240, 16
"""Areas from white to WHITE_LEVEL, or from black to BLACK_LEVEL, count if they reach the edge."""

MIN_PAPER_LEVEL = 170
PAPER_TOLERANCE_LEVELS = 16
MIN_EDGE_SHARE = 0.75
"""Darker paper counts if this share of the photo's edge has nearly the same level."""

EDGE_PX = 3
MAX_CONTRAST_LEVELS = 14
"""Largest difference between a pixel of the paper and its neighbours at LONG_SIDE_PX."""

FADE_LEVELS = 6
"""Colours fade out over this many levels before white and black."""


def find_paper(pixels: np.ndarray) -> np.ndarray:
    """Find plain areas of white, black or the level of the paper that reach the photo's edge.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16.

    Returns:
        HxW uint8, 255 in the paper, 0 in the photo, with a soft transition.
    """
    height, width = pixels.shape[:2]
    small = cv2.resize(pixels, paper_size(width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(paper_of_small(small), (width, height), interpolation=cv2.INTER_LINEAR)


def paper_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) at which the paper of a photo is looked for."""
    factor = min(1.0, LONG_SIDE_PX / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def paper_of_small(small: np.ndarray) -> np.ndarray:
    """Find the paper of a photo that is reduced to `paper_size`: HxW[x3] -> HxW uint8."""
    grey = to_grey(to_8_bits(small))
    kernel = np.ones((3, 3), np.uint8)
    plain = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, kernel) <= MAX_CONTRAST_LEVELS
    paper: np.ndarray = np.zeros(grey.shape, np.uint8)
    for area in (grey >= WHITE_LEVEL, grey <= BLACK_LEVEL, _has_paper_level(grey)):
        paper |= _reaching_the_edge(area & plain)
    # The gradient is large in the outermost pixels of the paper, which are paper all the same.
    return cv2.GaussianBlur(cv2.dilate(paper * np.uint8(255), kernel), (0, 0), 0.7)


def colour_weights(grey: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """Return how much colour each pixel gets: none in paper, white and black.

    Args:
        grey: HxW, uint8 or uint16.
        paper: HxW, from `find_paper`.

    Returns:
        HxW float32 in [0, 1].
    """
    full = np.iinfo(grey.dtype).max
    from_end = np.minimum(grey, full - grey) * np.float32(255 / full / FADE_LEVELS)
    return np.asarray(np.minimum(from_end, 1) * (1 - paper * np.float32(1 / 255)))


def _has_paper_level(grey: np.ndarray) -> np.ndarray:
    """Return where a photo has the level that most of its edge has, HxW bool."""
    inner = np.zeros(grey.shape, np.bool_)
    inner[EDGE_PX:-EDGE_PX, EDGE_PX:-EDGE_PX] = True
    edge = grey[~inner]
    level = float(np.median(edge))
    near: np.ndarray = np.abs(grey.astype(np.float32) - level) <= PAPER_TOLERANCE_LEVELS
    if level < MIN_PAPER_LEVEL or float(near[~inner].mean()) < MIN_EDGE_SHARE:
        return np.zeros(grey.shape, np.bool_)
    return near


def _reaching_the_edge(area: np.ndarray) -> np.ndarray:
    """Return the connected parts of an HxW area that touch the edge, as uint8 of 0 and 1."""
    _, labels = cv2.connectedComponents(area.astype(np.uint8), connectivity=4)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    reaching: np.ndarray = np.isin(labels, edge[edge > 0])
    return reaching.astype(np.uint8)
