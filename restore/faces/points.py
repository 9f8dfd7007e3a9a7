"""Points that select the faces of a photo."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class FacePoints:
    """Points in a photo; the faces whose boxes contain one of them are selected.

    Attributes:
        points: (x, y) in pixels of the photo; (0, 0) is the upper left corner of its first pixel.
        width: width of the photo in which the points are.
        height: its height.
    """

    points: tuple[tuple[float, float], ...]
    width: int
    height: int

    def outside(self) -> tuple[tuple[float, float], ...]:
        """Return the points that are not in the photo."""
        return tuple(
            (x, y) for x, y in self.points if not (0 <= x <= self.width and 0 <= y <= self.height)
        )

    def contained(self, boxes: Sequence[Box], width: int, height: int) -> np.ndarray:
        """Tell which boxes contain which points.

        Args:
            boxes: x0, y0, x1, y1, in pixels of the photo resized to this width and height.
            width: width of the resized photo.
            height: height of the resized photo.

        Returns:
            Bool array: one row for each box, one column for each point.
        """
        points = np.array(self.points) * (width / self.width, height / self.height)
        corners = np.array(boxes, np.float64).reshape(-1, 1, 4)
        inside = (corners[..., :2] <= points) & (points <= corners[..., 2:])
        return np.asarray(inside.all(axis=-1))
