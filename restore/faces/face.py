"""A face that was found in a photo: where it is, how sure the detector was, and its five landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray  # H x W x C pixels, or K x 2 points


@dataclass(
    frozen=True, eq=False
)  # an array has no single truth value, so a generated comparison could not work
class Face:
    """One face, in pixels of the upright photo; x to the right, y down. The box may reach outside the photo.

    `box` is x0, y0, x1, y1; `score` 0 to 1; `landmarks` 5x2 float64: the eye at the image's left, the eye at its right, the tip
    of the nose, the corner of the mouth at the image's left, the one at its right; `outline` 68x2 (iBUG 300-W) where the detector
    gives them.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: Array
    outline: Array | None = None

    def __post_init__(self) -> None:
        for name, count in (("landmarks", 5), ("outline", 68)):
            given = getattr(self, name)
            if given is None:
                continue
            points = np.array(
                given, np.float64
            )  # a copy: who made the face may go on with its own array
            if points.shape != (count, 2):
                raise ValueError(f"{name} of shape {points.shape}, a face has {count}x2")
            points.flags.writeable = False
            object.__setattr__(self, name, points)

    @property
    def size_px(self) -> float:
        """The shorter side of the box in pixels."""
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])
