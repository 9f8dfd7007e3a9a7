"""Bounds of the harm check, as data.

Calibrated with `python -m tests.harm clean --bounds`: clean photos (Kodak, Set5, natural photos,
portraits) stay below them in every task, the inputs of public bug reports exceed them where the
result is damaged. docs/harm.md has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from restore.pipelines.harm import LARGE_CHANGE_LEVELS, Expected, Harm


@dataclass(frozen=True)
class Bounds:
    """Limits of the differences between the result of a step and its input; see `Harm`."""

    max_cell_shift: float
    max_mean_shift: float
    max_changed_share: float
    min_contrast: float
    max_clipped_share: float = 1.0
    min_structure: float = -1.0

    def exceeded(self, harm: Harm) -> list[str]:
        """Describe every figure that exceeds its bound; empty if the result is harmless."""
        return [text for is_exceeded, text in self._comparisons(harm) if is_exceeded]

    def _comparisons(self, harm: Harm) -> Iterator[tuple[bool, str]]:
        yield (
            harm.cell_shift > self.max_cell_shift,
            f"the mean of an area changed by {harm.cell_shift:.0f} levels"
            f" (limit {self.max_cell_shift:g})",
        )
        yield (
            harm.mean_shift > self.max_mean_shift,
            f"the mean of the photo changed by {harm.mean_shift:.0f} levels"
            f" (limit {self.max_mean_shift:g})",
        )
        yield (
            harm.changed_share > self.max_changed_share,
            f"{100 * harm.changed_share:.0f} % of the pixels changed by more than"
            f" {LARGE_CHANGE_LEVELS:g} levels (limit {100 * self.max_changed_share:g} %)",
        )
        yield (
            harm.contrast < self.min_contrast,
            f"the contrast fell to {100 * harm.contrast:.0f} % (limit"
            f" {100 * self.min_contrast:g} %)",
        )
        if harm.clipped_share is not None:
            yield (
                harm.clipped_share > self.max_clipped_share,
                f"{100 * harm.clipped_share:.0f} % of the samples became black or full"
                f" (limit {100 * self.max_clipped_share:g} %)",
            )
        if harm.structure is not None:
            yield (
                harm.structure < self.min_structure,
                f"light and dark areas keep only {100 * harm.structure:.0f} % of their relation"
                f" (limit {100 * self.min_structure:g} %)",
            )


BOUNDS: Mapping[Expected, Bounds] = MappingProxyType(
    {
        Expected.NOTHING: Bounds(0.0, 0.0, 0.0, 0.0),
        Expected.DETAIL: Bounds(12.0, 8.0, 1.0, 0.8),
        Expected.COLOUR: Bounds(20.0, 8.0, 0.05, 0.7),
        Expected.TONE: Bounds(40.0, 16.0, 0.25, 0.6),
        Expected.CAST: Bounds(math.inf, math.inf, 1.0, 0.8, 0.2, 0.95),
    }
)
