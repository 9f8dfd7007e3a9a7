"""Types of the options that are text in HTTP requests, and lists or arrays for Python callers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Array(Protocol):
    """An array of NumPy or torch."""

    def tolist(self) -> object:
        """Return its values as lists."""


Points = str | Sequence[Sequence[float]] | Array
"""JSON text, or [[x, y], ...]."""
Polygons = Points | Sequence[Sequence[Sequence[float]]]
"""JSON text, a polygon [[x, y], ...], or a list of polygons."""
Faces = str | int | Sequence[int] | Array
"""A word or numbers as text, a number, or a list of numbers."""
Steps = str | Sequence[str]
"""Names of steps, separated by commas or as a list."""
