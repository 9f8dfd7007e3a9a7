"""What a run has to do: photos that are new, have changed or failed, and what that will cost."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from restore.batch.folder import Folder
from restore.batch.listing import BatchPhoto
from restore.batch.manifest import DONE, FAILED, Manifest, read_rows
from restore.models.substitutes import BetterWeights
from restore.models.used_networks import KnownNetworks

ESTIMATE_ROWS = 200
"""Rows of the manifest from which time and space are estimated."""


@dataclass(frozen=True)
class Plan:
    """The work of one run.

    Attributes:
        to_do: photos to restore, in the order of their names.
        done: number of photos whose result is there already.
        failed: photos that failed before and are not tried again.
        changed: number of photos in `to_do` that have a result of an older photo, or one that was
            made with other settings or weights.
        unrecorded: number of the done photos of which no row tells whether they were made with
            substitutes for official weights.
    """

    to_do: tuple[BatchPhoto, ...]
    done: int
    failed: tuple[BatchPhoto, ...]
    changed: int
    unrecorded: int = 0

    @property
    def input_bytes(self) -> int:
        """Size of the photos to restore."""
        return sum(photo.entry.size for photo in self.to_do)


@dataclass(frozen=True)
class Estimate:
    """What a run will need, from the rows of earlier photos with the same settings.

    Attributes:
        seconds_per_photo: computing time of one worker.
        bytes_per_photo: size of a result.
        rows: number of rows that the estimate is made from.
    """

    seconds_per_photo: float
    bytes_per_photo: float
    rows: int


def make_plan(
    photos: Sequence[BatchPhoto],
    manifest: Manifest,
    settings: str,
    folder: Folder,
    *,
    retry_failed: bool = False,
    force: bool = False,
    limit: int | None = None,
    manifest_settings: str | None = None,
    networks: KnownNetworks | None = None,
    better: BetterWeights | None = None,
) -> Plan:
    """Find the photos that a run has to restore.

    Args:
        photos: all photos of the run.
        manifest: what earlier runs have done.
        settings: fingerprint of the job.
        folder: the output folder; a result that is missing there is made again.
        retry_failed: try photos again that failed with the same settings.
        force: restore all photos again.
        limit: largest number of photos to restore; None means all.
        manifest_settings: as for `Manifest.is_current`.
        networks: finds networks that have changed since they made a result; None looks for none.
        better: finds weights that are better than the substitutes of a result; None if the
            weights policy has no substitutes.
    """
    present = {entry.name for entry in folder.entries()} if manifest.known else set()
    to_do, failed, done, unrecorded = [], [], 0, 0
    changed: set[str] = set()
    for photo in photos:
        known = manifest.known.get(photo.name)
        current = manifest.is_current(photo, settings, manifest_settings)
        if current and not force:
            if current.status == FAILED and not retry_failed:
                failed.append(photo)
                continue
            if current.status == DONE and present.issuperset(current.files):
                is_changed = networks and networks.changed(current.networks or ())
                if not is_changed and not (better and better.than(current.substitutes or ())):
                    done += 1
                    unrecorded += better is not None and current.substitutes is None
                    continue
                changed.add(photo.name)
        elif known and known.status == DONE:
            changed.add(photo.name)
        to_do.append(photo)
    chosen = tuple(to_do[:limit])
    count_changed = sum(photo.name in changed for photo in chosen)
    return Plan(chosen, done, tuple(failed), count_changed, unrecorded)


def estimate(folder: Folder, settings: str) -> Estimate | None:
    """Estimate the needs of a photo; None if no photo has been done with these settings."""
    seconds: list[float] = []
    sizes: list[int] = []
    for row in read_rows(folder):
        if row["settings"] == settings and row["status"] == DONE:
            seconds.append(row["seconds"])
            sizes.append(_output_bytes(row))
            if len(seconds) == ESTIMATE_ROWS:
                break
    if not seconds:
        return None
    return Estimate(statistics.mean(seconds), statistics.mean(sizes), len(seconds))


def _output_bytes(row: dict[str, Any]) -> int:
    return int(row["report"].get("output", {}).get("bytes", 0))
