"""Progress of a batch: photos done, speed, time left, failures and what takes the longest."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from restore.batch.figures import Statistics
from restore.batch.words import stage_words
from restore.cli.progress import TerminalProgress
from restore.words import counted

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from restore.batch.manifest import Row
    from restore.batch.plan import Plan

LINE_EVERY_S = 30.0


class BatchProgress(TerminalProgress):
    """Shows a bar on a terminal, and elsewhere a line every LINE_EVERY_S.

    Attributes:
        figures: what has been collected from the rows of the run.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self.quiet = quiet
        self.figures = Statistics()
        self._total = 0
        self._started_s = self._line_s = time.monotonic()
        self._task: TaskID | None = None

    def on_plan(self, plan: Plan, ignored: int) -> None:
        """Show how much there is to do."""
        self._total = len(plan.to_do)
        self._started_s = time.monotonic()
        if self.quiet:
            return
        changed = f", {plan.changed} of them restored before" if plan.changed else ""
        parts = [f"{counted(self._total, 'photo')} to restore{changed}", f"{plan.done} done before"]
        if plan.failed:
            parts.append(f"{len(plan.failed)} failed before")
        if ignored:
            parts.append(f"{counted(ignored, 'other file')} ignored")
        print(", ".join(parts), file=sys.stderr, flush=True)
        if note := unrecorded_note(plan):
            print(note, file=sys.stderr, flush=True)
        if self.bars and self._total:
            self._task = self.bars.add_task("photos", total=self._total, facts="")

    def on_row(self, row: Row) -> None:
        """Count a photo."""
        self.figures.add(row)
        if self.bars and self._task is not None:
            done = self.figures.done + self.figures.failed
            self.bars.update(self._task, completed=done, facts=self.facts())
        elif not self.quiet and time.monotonic() - self._line_s > LINE_EVERY_S:
            self._line_s = time.monotonic()
            print(self.line(), file=sys.stderr, flush=True)

    def line(self) -> str:
        """Return the progress as one line of text."""
        done = self.figures.done + self.figures.failed
        elapsed_s = time.monotonic() - self._started_s
        left_s = (self._total - done) * elapsed_s / done if done else 0.0
        of_total = f"{done} of {counted(self._total, 'photo')}"
        return f"{of_total}, {self.facts()}, {left_s / 60.0:.1f} minutes left"

    def facts(self) -> str:
        """Return speed, failures and what takes the longest."""
        elapsed_s = max(time.monotonic() - self._started_s, 1e-9)
        done = self.figures.done + self.figures.failed
        facts = [f"{done / elapsed_s:.2f} per second", f"{self.figures.failed} failed"]
        if stage := self.figures.slowest_stage:
            facts.append(f"mostly {stage_words(stage)}")
        return ", ".join(facts)

    def new_bars(self) -> Progress:
        """Return one bar with the facts of the run."""
        from rich.console import Console  # noqa: PLC0415 - takes a while
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )


def unrecorded_note(plan: Plan) -> str:
    """Return a note about results that may have been made with other weights, or an empty text."""
    if not plan.unrecorded:
        return ""
    return (
        f"{counted(plan.unrecorded, 'photo')} done by an older version, which did not record"
        " whether lite weights were used: --force restores all photos again"
    )
