"""The report of a photo: models, weights, device, tiles, stage times and warnings."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

log = logging.getLogger("restore")

STATUSES = ("done", "reduced", "skipped")
"""Values of `Report.status`, from best to worst."""


@dataclass
class Report:
    """The report of one photo, filled while its request runs.

    Attributes:
        photo: the photo's name.
        task: the task, or the step for reports in `steps`.
        input: facts about the decoded photo.
        output: format, size and bytes of the written photo.
        variant: the variant of the task's own network.
        weights: file, sha256 and licence of every network that ran.
        recompiles: graphs that torch compiled in this process beyond those that were prepared.
        tiles: size, count and margin of the tiles of every tiled network.
        faces: every detected face, best first: box (x0, y0, x1, y1 in pixels of the upright photo),
            score, size_px (the shorter side of the box), restored, the reason if it was not, and
            for faces that are not upright `rotation`, by how many degrees to turn the photo
            clockwise.
            For the task `pipeline`: the faces of all steps, each with the name of its `step`; the
            boxes are in pixels of the photo as that step got it.
        face_restoration_applied: whether any face was restored.
        scratched_share: fraction of the photo detected as scratches; None if not looked for.
        fading: black and white points, fading and cast of the photo before the step `colors`, and
            by how much the step changes its colours (mean CIE76 difference).
        findings: for steps=auto and `inspect`, everything that was measured in the photo: name,
            value, unit, the step that it leads to with its options, and the reason.
        status: "done"; "reduced" if a step did less than requested, because more would have damaged
            the photo; "skipped" if it returned the photo unchanged for that reason. A warning gives
            the reason. For the task `pipeline`: the worst status of its steps.
        harm: how the result of the step differs from its input, as the harm check measured it (see
            `restore.pipelines.harm`).
        why: why this step was proposed; empty for steps that the request names.
        steps: the reports of the steps, for the task `pipeline`.
        profile_effects: what `runtime_profile` changed compared with `baseline`.
        stages_ms: wall time of each stage in milliseconds.
        notes: facts that are no faults, such as older option names that were replaced.
        warnings: everything that was degraded, and options that had no effect.
    """

    photo: str
    task: str
    variant: str = ""
    weights: list[dict[str, object]] = field(default_factory=list)
    device: str = ""
    precision: str = ""
    runtime_profile: str = ""
    stability_mode: str = ""
    compile_backend: str | None = None
    recompiles: int = 0
    input: dict[str, object] = field(default_factory=dict)
    output: dict[str, object] = field(default_factory=dict)
    tiles: list[dict[str, object]] = field(default_factory=list)
    face_detector: str = ""
    faces: list[dict[str, object]] = field(default_factory=list)
    face_restoration_applied: bool = False
    scratched_share: float | None = None
    fading: dict[str, object] = field(default_factory=dict)
    findings: list[dict[str, object]] = field(default_factory=list)
    status: str = "done"
    harm: dict[str, object] = field(default_factory=dict)
    why: str = ""
    steps: list[Report] = field(default_factory=list)
    profile_effects: list[str] = field(default_factory=list)
    stages_ms: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Add a warning, unless it is there already, and log it."""
        if text not in self.warnings:
            self.warnings.append(text)
            log.warning("%s: %s", self.photo, text)

    def add_profile_effect(self, text: str) -> None:
        """Record what the runtime profile changed, unless it is recorded already."""
        if text not in self.profile_effects:
            self.profile_effects.append(text)

    def sum_up_steps(self) -> None:
        """Copy facts and warnings of the steps of a pipeline into this report."""
        if not self.steps:
            return
        last = self.steps[-1]
        self.device, self.precision = last.device, last.precision
        self.runtime_profile = last.runtime_profile
        self.stability_mode, self.compile_backend = last.stability_mode, last.compile_backend
        for step in self.steps:
            self.weights += [facts for facts in step.weights if facts not in self.weights]
            self.face_detector = step.face_detector or self.face_detector
            self.faces += [{"step": step.task, **face} for face in step.faces]
            if STATUSES.index(step.status) > STATUSES.index(self.status):
                self.status = step.status
            self.face_restoration_applied |= step.face_restoration_applied
            for effect in step.profile_effects:
                self.add_profile_effect(f"{step.task}: {effect}")
            self.notes += [f"{step.task}: {note}" for note in step.notes]
            self.warnings += [f"{step.task}: {warning}" for warning in step.warnings]
        self.variant = ", ".join(step.variant for step in self.steps)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the wall time of the block to a stage, even if the block fails."""
        started_s = time.perf_counter()
        try:
            yield
        finally:
            self.add_stage_ms(name, 1000.0 * (time.perf_counter() - started_s))

    def add_stage_ms(self, name: str, elapsed_ms: float) -> None:
        """Add a wall time in milliseconds to a stage."""
        self.stages_ms[name] = round(self.stages_ms.get(name, 0.0) + elapsed_ms, 2)

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain JSON types, which is all that Cog's metrics accept."""
        return asdict(self)
