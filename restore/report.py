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
    """One photo's account. It belongs to one request and is filled while the request runs.

    Attributes:
        variant: the variant of the task's own network; `weights` names every network's.
        faces: every face found, best first: box (x0, y0, x1, y1 in pixels of the upright photo), score, size_px (the box's
            shorter side), restored, and the reason where it was not.
        face_restoration_applied: whether any face was restored.
        compile_backend: of `optimized` requests; `recompiles` counts what torch has compiled in this process, by the end of the
            request, without being asked to.
        scratched_share: what part of the photo was found to be scratches, where that was looked for.
        why: why this step was proposed, where nobody asked for it by name.
        steps: the reports of the steps, for the task `pipeline`.
    """

    photo: str
    task: str
    input: dict[str, object] = field(default_factory=dict)
    output: dict[str, object] = field(default_factory=dict)
    variant: str = ""
    weights: list[dict[str, object]] = field(default_factory=list)
    device: str = ""
    precision: str = ""
    runtime_profile: str = ""
    stability_mode: str = ""
    compile_backend: str | None = None
    recompiles: int = 0
    tiles: list[dict[str, object]] = field(default_factory=list)
    face_detector: str = ""
    faces: list[dict[str, object]] = field(default_factory=list)
    face_restoration_applied: bool = False
    scratched_share: float | None = None
    why: str = ""
    steps: list[Report] = field(default_factory=list)
    stages_ms: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Records a degradation, once, and logs it."""
        if text not in self.warnings:
            self.warnings.append(text)
            log.warning("%s: %s", self.photo, text)

    def sum_up(self) -> None:
        """Takes over from the steps of a pipeline what is true of the whole; each warning says whose it is."""
        for step in self.steps:
            self.device, self.precision, self.runtime_profile = (
                step.device,
                step.precision,
                step.runtime_profile,
            )
            self.stability_mode, self.compile_backend = step.stability_mode, step.compile_backend
            self.weights += [facts for facts in step.weights if facts not in self.weights]
            self.face_restoration_applied |= step.face_restoration_applied
            self.warnings += [f"{step.task}: {warning}" for warning in step.warnings]
        self.variant = ", ".join(step.variant for step in self.steps)

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
            "stability_mode": self.stability_mode,
            "compile_backend": self.compile_backend,
            "recompiles": self.recompiles,
            "input": dict(self.input),
            "output": dict(self.output),
            "tiles": [dict(row) for row in self.tiles],
            "face_detector": self.face_detector,
            "faces": [dict(row) for row in self.faces],
            "face_restoration_applied": self.face_restoration_applied,
            "scratched_share": self.scratched_share,
            "why": self.why,
            "steps": [step.to_dict() for step in self.steps],
            "stages_ms": dict(self.stages_ms),
            "warnings": list(self.warnings),
        }
