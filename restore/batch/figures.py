"""Figures of a run, collected row by row in level memory."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from restore.batch.manifest import FAILED, Row

SAMPLE_SIZE = 12
_NUMBER = re.compile(r"\d+(\.\d+)?")
_QUOTED = re.compile(r"'[^']*'")


@dataclass
class Statistics:
    """Counts, times, warnings and a sample of the photos of a run.

    Attributes:
        done, failed: numbers of photos.
        seconds: computing time of all photos.
        stages_s: computing time by stage.
        warnings: number of photos by kind of warning; numbers and names are replaced by marks.
        errors: number of photos by code and kind of error.
        sample: rows of restored photos, chosen at random with the same chance for each.
    """

    done: int = 0
    failed: int = 0
    seconds: float = 0.0
    stages_s: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    sample: list[Row] = field(default_factory=list)
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def add(self, row: Row) -> None:
        """Count a row."""
        self.seconds += row.seconds
        if row.status == FAILED:
            self.failed += 1
            self.errors[kind_of((row.error or {}).get("message", ""))] += 1
            return
        self.done += 1
        self._add_stages(row.report)
        for kind in {kind_of(warning) for warning in row.report.get("warnings", [])}:
            self.warnings[kind] += 1
        if len(self.sample) < SAMPLE_SIZE:
            self.sample.append(row)
        elif (place := self._random.randrange(self.done)) < SAMPLE_SIZE:
            self.sample[place] = row

    @property
    def slowest_stage(self) -> str:
        """The stage with the largest part of the computing time, or an empty text."""
        return max(self.stages_s, key=lambda stage: self.stages_s[stage], default="")

    def _add_stages(self, report: Mapping[str, Any]) -> None:
        for one in (report, *report.get("steps", [])):
            for stage, ms in one.get("stages_ms", {}).items():
                self.stages_s[stage] += ms / 1000.0


def kind_of(message: str) -> str:
    """Return a message without what differs between photos: names in quotes, and numbers."""
    return _NUMBER.sub("N", _QUOTED.sub("'...'", message))
