"""What becomes of the outcomes of a run: files, rows and counts, and reasons to stop it."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import Protocol

from restore.batch.folder import Folder, LocalFolder
from restore.batch.listing import BatchPhoto
from restore.batch.manifest import FAILED, Row
from restore.batch.output import Output
from restore.batch.plan import Plan
from restore.batch.processing import Outcome
from restore.errors import Code, RestoreError, system_reason
from restore.models.substitutes import BetterWeights

CHECK_SPACE_EVERY = 16


@dataclass
class Summary:
    """What a run has done.

    Attributes:
        plan: what it had to do.
        done: number of photos that were restored.
        failed: the rows of photos that failed.
        lacking: weights that this machine has, and a machine that restored some photos has not, in
            words.
        stopped: why the run ended before all was done, with its code unless the user ended it, or
            an empty text. The photos that are left have not failed: the next run restores them.
    """

    plan: Plan
    done: int = 0
    failed: list[Row] = field(default_factory=list)
    lacking: set[str] = field(default_factory=set)
    stopped: str = ""

    @property
    def exit_code(self) -> int:
        """0 if all photos of the plan are done, 1 if some failed or are left."""
        return 1 if self.failed or self.plan.failed or self.stopped else 0


class Watcher(Protocol):
    """Shows the progress of a run."""

    def on_plan(self, plan: Plan, ignored: int) -> None:
        """Called before the first photo, with the number of files that are not photos."""

    def on_row(self, row: Row) -> None:
        """Called for each photo once its row is written."""


@dataclass(frozen=True)
class Saver:
    """Writes the outcomes of a run, and stops it if no other photo can be read or written.

    Attributes:
        source: the input folder.
        output: the results and their manifest.
        summary: counts the outcomes.
        watcher: is told of them.
        better: as for `make_plan`.
        min_free_bytes: free space below which the run stops.
        stop: is set to stop the run.
    """

    source: Folder
    output: Output
    summary: Summary
    watcher: Watcher
    better: BetterWeights | None
    min_free_bytes: int
    stop: Event

    def save(self, photo: BatchPhoto, outcome: Outcome) -> None:
        """Write the files and the row of an outcome."""
        summary = self.summary
        if self._has_no_source(outcome):
            return
        summary.lacking |= _lacking(outcome, self.better)
        try:
            row = self.output.save(photo, outcome)
        except OSError as error:
            self.stop_unwritable(error)
            return
        if row.status == FAILED:
            summary.failed.append(row)
        else:
            summary.done += 1
        self.watcher.on_row(row)
        if (summary.done + len(summary.failed)) % CHECK_SPACE_EVERY == 0:
            self.check_space()

    def check_space(self) -> None:
        """Stop the run if the disk is nearly full."""
        folder = self.output.folder
        free_bytes = folder.free_bytes()
        if free_bytes is not None and free_bytes < self.min_free_bytes:
            reason = (
                f"the disk of '{folder.place}' has {free_bytes / 2**20:.0f} MiB left, less than"
                f" {self.min_free_bytes / 2**20:.0f} (--min-free-mib)"
            )
            remedy = "Free some space, and run the command again."
            self._stop(Code.OUTPUT_UNWRITABLE, reason, remedy)

    def stop_unwritable(self, error: OSError) -> None:
        """Stop the run because nothing can be written."""
        reason = f"'{self.output.folder.place}' cannot be written ({system_reason(error)})"
        remedy = "Free some space or check its permissions, and run the command again."
        self._stop(Code.OUTPUT_UNWRITABLE, reason, remedy)

    def _has_no_source(self, outcome: Outcome) -> bool:
        """Stop the run, and return True, if a photo is missing because all of them are."""
        if (outcome.error or {}).get("code") != Code.PHOTO_MISSING:
            return False
        if not isinstance(self.source, LocalFolder) or self.source.has_entries():
            return False
        reason = f"the folder '{self.source.place}' of the photos has vanished, or is empty now"
        remedy = "Check that its disk is connected, and run the command again."
        self._stop(Code.PHOTO_MISSING, reason, remedy)
        return True

    def _stop(self, code: Code, reason: str, remedy: str) -> None:
        self.summary.stopped = str(RestoreError(code, reason, remedy))
        self.stop.set()


def _lacking(outcome: Outcome, better: BetterWeights | None) -> set[str]:
    """Return the weights of this machine that the one of an outcome has not: a node of Ray."""
    name = better.than(outcome.substitutes) if better else ""
    return {name} if name else set()
