"""Which checkpoints would be downloaded: their number, size and licences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from restore.models.catalog import Checkpoint
from restore.models.policy import Policy
from restore.models.store import State, WeightStore
from restore.words import counted


@dataclass(frozen=True)
class DownloadPlan:
    """Checkpoints to download.

    Attributes:
        rows: their manifest rows.
    """

    rows: tuple[Checkpoint, ...]

    @property
    def bytes(self) -> int:
        """Size of all files; approximate where the manifest knows no exact size."""
        return sum(row.bytes or row.bytes_about or 0 for row in self.rows)

    @property
    def size(self) -> str:
        """Number and size of the files as text."""
        return f"{counted(len(self.rows), 'file')}, {self.bytes / 1e9:.1f} GB"

    def describe(self) -> str:
        """Return size, licences and the files that are not for commercial use, in one line."""
        if not self.rows:
            return "no files"
        licences = Counter(row.licence for row in self.rows)
        parts = [self.size, ", ".join(f"{count} {name}" for name, count in licences.most_common())]
        if restricted := [row for row in self.rows if not row.commercial_use]:
            names = ", ".join(f"{row.file} ({row.licence})" for row in restricted)
            parts.append(f"not for commercial use: {names}")
        return "; ".join(parts)


def download_plan(
    store: WeightStore, tasks: Iterable[str] = (), policy: Policy = Policy.OFFICIAL
) -> DownloadPlan:
    """Return the official checkpoints that are missing on this machine.

    Args:
        store: the weights.
        tasks: catalog tasks; all of them by default.
        policy: with `lite` nothing is downloaded.
    """
    if policy is Policy.LITE:
        return DownloadPlan(())
    official = official_weights(store, tasks).rows
    return DownloadPlan(tuple(row for row in official if store.status(row) is State.MISSING))


def official_weights(store: WeightStore, tasks: Iterable[str] = ()) -> DownloadPlan:
    """Return all official checkpoints of some catalog tasks, present or not; by default, of all."""
    wanted = set(tasks) or {row.task for row in store.catalog.rows}
    rows = store.catalog.rows
    return DownloadPlan(tuple(row for row in rows if row.task in wanted and not row.embedded))
