"""What a run has to do: photos that are new, have changed or failed, and what that will cost."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from restore.batch.folder import Folder
from restore.batch.listing import BatchPhoto
from restore.batch.manifest import DONE, FAILED, Known, Manifest, photo_key, read_rows
from restore.errors import Code, RestoreError
from restore.imaging.suffixes import FORMAT_OF_SUFFIX, OUTPUT_SUFFIXES
from restore.models.substitutes import BetterWeights
from restore.models.used_networks import KnownNetworks
from restore.words import counted

ESTIMATE_ROWS = 200
"""Rows of the manifest from which time and space are estimated."""
PHOTO_CHANGED = "whose photo has changed"
OTHER_OPTIONS = "made with other options, another weights policy or another version of restore"
UP_TO_DATE = "that are up to date"


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
        replaced: the photos in `to_do` whose finished result would be replaced, and what is out of
            date about it, such as "whose photo has changed".
    """

    to_do: tuple[BatchPhoto, ...]
    done: int
    failed: tuple[BatchPhoto, ...]
    changed: int
    unrecorded: int = 0
    replaced: Mapping[str, str] = field(default_factory=dict)

    def refuse_replacing(self, place: str) -> None:
        """Refuse to replace finished results, before any work.

        Args:
            place: the output folder, as it is shown to users.

        Raises:
            RestoreError: OUTPUT_UNWRITABLE.
        """
        if not self.replaced:
            return
        counts = Counter(self.replaced.values()).most_common()
        kinds = ", and ".join(f"{counted(count, 'result')} {reason}" for reason, count in counts)
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"this run would replace files in '{place}': {kinds}; the first is that of"
            f" '{next(iter(self.replaced))}'",
            "Use --overwrite to replace them, or choose another output folder.",
        )

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
    output_format: str = "",
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
        output_format: 'jpg', 'png' or 'webp'; anything else means that it depends on the photo.
    """
    present = {entry.name for entry in folder.entries()} if manifest.known else set()
    to_do, failed, done, unrecorded = [], [], 0, 0
    outdated: dict[str, str] = {}
    for photo in photos:
        known = manifest.known.get(photo.name)
        current = manifest.is_current(photo, settings, manifest_settings)
        if current and not force:
            if current.status == FAILED and not retry_failed:
                failed.append(photo)
                continue
            if current.status == DONE and present.issuperset(current.files):
                if reason := _weights_reason(current, networks, better):
                    outdated[photo.name] = reason
                else:
                    done += 1
                    unrecorded += better is not None and current.substitutes is None
                    continue
        if known and known.files and photo.name not in outdated:
            if reason := _reason(photo, known, {settings, manifest_settings or settings}):
                outdated[photo.name] = reason
            elif force:
                outdated[photo.name] = UP_TO_DATE
        to_do.append(photo)
    chosen = tuple(to_do[:limit])
    changed = {photo.name: outdated[photo.name] for photo in chosen if photo.name in outdated}
    replaced = {
        photo.name: changed[photo.name]
        for photo in chosen
        if photo.name in changed
        and _names_of_result(photo, output_format)
        & present.intersection(manifest.known[photo.name].files)
    }
    return Plan(chosen, done, tuple(failed), len(changed), unrecorded, replaced)


def _reason(photo: BatchPhoto, known: Known, settings: AbstractSet[str]) -> str:
    """Return what is out of date about the files of a photo, or an empty text."""
    start = photo_key(photo.entry.size, photo.entry.state)
    if not known.files_key.startswith(start):
        return PHOTO_CHANGED
    return "" if known.files_key.removeprefix(start) in settings else OTHER_OPTIONS


def _names_of_result(photo: BatchPhoto, output_format: str) -> AbstractSet[str]:
    """Return the names that the result of a photo may have."""
    if output_format in OUTPUT_SUFFIXES:
        return {photo.output_name(output_format)}
    own = FORMAT_OF_SUFFIX.get(PurePosixPath(photo.name).suffix.lower())
    return {photo.output_name(one) for one in ([own] if own else OUTPUT_SUFFIXES)}


def _weights_reason(
    known: Known, networks: KnownNetworks | None, better: BetterWeights | None
) -> str:
    """Return what is out of date about the weights of a result, or an empty text."""
    if networks and (name := networks.changed(known.networks or ())):
        return f"made with other weights of {name}"
    if better and (name := better.than(known.substitutes or ())):
        return f"made while the {name} were missing"
    return ""


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
