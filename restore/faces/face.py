"""A detected face: its box, score and landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)  # arrays cannot be compared by a generated __eq__
class Face:
    """One face, in pixels of the upright photo; x to the right, y down.

    Attributes:
        box: x0, y0, x1, y1; it may reach outside the photo.
        score: 0 to 1.
        landmarks: 5x2 float64: left eye, right eye, tip of the nose, left and right corner of the
            mouth, where left and right are those of the image with the face upright.
        outline: 68x2 float64 (iBUG 300-W), if the detector finds them.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: np.ndarray
    outline: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, count in (("landmarks", 5), ("outline", 68)):
            given = getattr(self, name)
            if given is None:
                continue
            points = np.array(given, np.float64)  # a copy, which the caller cannot change
            if points.shape != (count, 2):
                raise ValueError(f"{name} has the shape {points.shape}, expected {count}x2")
            points.flags.writeable = False
            object.__setattr__(self, name, points)

    @property
    def size_px(self) -> float:
        """The shorter side of the box in pixels."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])
