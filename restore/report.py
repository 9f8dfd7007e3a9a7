"""What happened to each photo: model, weights, device, tiles, stage times and everything that was degraded on the way."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

log = logging.getLogger("restore")


@dataclass
class Report:
    """One photo's account. It belongs to one request and is filled while the request runs."""

    photo: str
    task: str
    input: dict[str, object] = field(default_factory=dict)
    output: dict[str, object] = field(default_factory=dict)
    variant: str = ""
    weights: list[dict[str, object]] = field(default_factory=list)
    device: str = ""
    precision: str = ""
    runtime_profile: str = ""
    tiles: list[dict[str, object]] = field(default_factory=list)
    stages_ms: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Records a degradation, once, and logs it."""
        if text not in self.warnings:
            self.warnings.append(text)
            log.warning("%s: %s", self.photo, text)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Adds the wall time of the block to stage `name`, in milliseconds, failed or not."""
        started = time.perf_counter()
        try:
            yield
        finally:
            elapsed_ms = 1000.0 * (time.perf_counter() - started)
            self.stages_ms[name] = round(self.stages_ms.get(name, 0.0) + elapsed_ms, 2)

    def to_dict(self) -> dict[str, object]:
        """Plain JSON types only (Cog's metrics take nothing else)."""
        return {
            "photo": self.photo,
            "task": self.task,
            "variant": self.variant,
            "weights": [dict(row) for row in self.weights],
            "device": self.device,
            "precision": self.precision,
            "runtime_profile": self.runtime_profile,
            "input": dict(self.input),
            "output": dict(self.output),
            "tiles": [dict(row) for row in self.tiles],
            "stages_ms": dict(self.stages_ms),
            "warnings": list(self.warnings),
        }
