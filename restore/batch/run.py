"""One run of a batch: list, plan, restore, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event

from restore.batch.failures import write_failures
from restore.batch.folder import Folder, LocalFolder, open_folder, require_separate
from restore.batch.listing import BatchPhoto, Listing, list_photos, take_shard
from restore.batch.manifest import Manifest
from restore.batch.output import Output
from restore.batch.plan import Plan, make_plan
from restore.batch.processing import BatchJob, Outcome
from restore.batch.saver import Saver, Summary, Watcher
from restore.errors import Code, RestoreError
from restore.models.substitutes import BetterWeights
from restore.models.used_networks import KnownNetworks
from restore.words import counted

MIN_FREE_BYTES = 2**30
"""Free space on the disk of the results below which a run stops."""

OnOutcome = Callable[[BatchPhoto, Outcome], None]
Engine = Callable[[BatchJob, Folder, Sequence[BatchPhoto], OnOutcome, Event], None]
"""Called as engine(job, folder of the photos, photos, on_outcome, stop)."""


@dataclass(frozen=True)
class BatchOptions:
    """What a run does.

    Attributes:
        source, target: paths or fsspec URLs of the folders.
        job: what to do with each photo.
        globs, recursive: as for `list_photos`.
        shard: number of this shard and count of shards; None means all photos.
        limit: largest number of photos to restore; None means all.
        retry_failed: try photos again that have failed.
        overwrite: replace existing files: results that are out of date, and files that are no
            results of the batch.
        force: restore all photos again, and replace all files, also the results of other photos.
        min_free_bytes: free space below which the run stops.
    """

    source: str
    target: str
    job: BatchJob
    globs: tuple[str, ...] = ()
    recursive: bool = True
    shard: tuple[int, int] | None = None
    limit: int | None = None
    retry_failed: bool = False
    overwrite: bool = False
    force: bool = False
    min_free_bytes: int = MIN_FREE_BYTES

    @property
    def shard_name(self) -> str:
        """Name of the shard in file names, or an empty text."""
        return f"{self.shard[0]}of{self.shard[1]}" if self.shard else ""


def run_batch(options: BatchOptions, engine: Engine, watcher: Watcher, stop: Event) -> Summary:
    """Restore the photos of a folder that are new, out of date or to be tried again.

    Args:
        options: what to do.
        engine: how photos are restored.
        watcher: is told of the progress.
        stop: once set, the photos in progress are finished and the run ends.

    Raises:
        RestoreError: PHOTO_MISSING, OUTPUT_UNWRITABLE, also if finished results would be replaced
            without `overwrite`, OPTION_UNKNOWN, OPTION_INVALID, any WEIGHTS_* code: before any
            work; WORKER_LOST.
    """
    source, target = open_folder(options.source), open_folder(options.target)
    require_separate(source, target)
    job = options.job
    # Before the output folder is made: the options and the photos may be refused.
    settings, listing = job.fingerprint(), _list(options, source, target)
    with Manifest(target, options.shard_name) as manifest:
        output = Output(
            target,
            manifest,
            settings,
            options.shard_name,
            manifest_settings=job.manifest_fingerprint(),
            overwrite=options.overwrite or options.force,
            force=options.force,
        )
        output.complete_moves()
        better = BetterWeights.for_policy(job.weights)
        plan = _plan(options, listing, target, manifest, better)
        if not options.overwrite and not options.force:
            plan.refuse_replacing(target.place)
        watcher.on_plan(plan, listing.ignored)
        summary = Summary(plan)
        saver = Saver(source, output, summary, watcher, better, options.min_free_bytes, stop)
        try:
            if plan.to_do:
                saver.check_space()
            if plan.to_do and not stop.is_set():
                engine(job, source, plan.to_do, saver.save, stop)
        except BaseException:
            with suppress(OSError, RestoreError):  # that of the engine is told
                _record_failures(options, source, target, manifest, summary)
            raise
        left = len(plan.to_do) - summary.done - len(summary.failed)
        if left and not summary.stopped:
            summary.stopped = f"interrupted, {counted(left, 'photo')} left"
        try:
            _record_failures(options, source, target, manifest, summary)
        except OSError as error:
            saver.stop_unwritable(error)
        return summary


def _record_failures(
    options: BatchOptions, source: Folder, target: Folder, manifest: Manifest, summary: Summary
) -> None:
    """Write failed.csv, with the failures of other shards.

    Raises:
        OSError: it cannot be written. RestoreError: as `Manifest`.
    """
    manifest.flush()
    if options.shard:
        manifest.read_again()
    write_failures(source, target, manifest, _failed_names(summary))


def _failed_names(summary: Summary) -> set[str]:
    """Return the listed photos that have failed in this run or before."""
    return {photo.name for photo in summary.plan.failed} | {row.input for row in summary.failed}


def preview(options: BatchOptions) -> tuple[Plan, int]:
    """Return the plan of a run and the number of ignored files, and write nothing.

    Raises:
        RestoreError: as `run_batch`.
    """
    source, target = open_folder(options.source), open_folder(options.target)
    require_separate(source, target)
    manifest = Manifest(target, options.shard_name, read_only=True)
    better = BetterWeights.for_policy(options.job.weights)
    listing = _list(options, source, target)
    return _plan(options, listing, target, manifest, better), listing.ignored


def _list(options: BatchOptions, source: Folder, target: Folder) -> Listing:
    listing = list_photos(source, options.globs, recursive=options.recursive)
    _refuse_results_among_photos(source, target, listing.photos)
    return listing


def _plan(
    options: BatchOptions,
    listing: Listing,
    target: Folder,
    manifest: Manifest,
    better: BetterWeights | None,
) -> Plan:
    photos: Sequence[BatchPhoto] = listing.photos
    if options.shard:
        photos = take_shard(photos, *options.shard)
    return make_plan(
        photos,
        manifest,
        options.job.fingerprint(),
        target,
        retry_failed=options.retry_failed,
        force=options.force,
        limit=options.limit,
        manifest_settings=options.job.manifest_fingerprint(),
        networks=KnownNetworks.load(),
        better=better,
        output_format=options.job.output_format,
    )


def _refuse_results_among_photos(
    source: Folder, target: Folder, photos: Sequence[BatchPhoto]
) -> None:
    """Refuse an output folder around the photos' folder if a result would get into the latter."""
    if not isinstance(source, LocalFolder) or not isinstance(target, LocalFolder):
        return
    inner, outer = source.path.resolve(), target.path.resolve()
    if outer not in inner.parents:
        return
    inside = f"{inner.relative_to(outer).as_posix()}/"
    for photo in photos:
        if photo.name.startswith(inside):
            raise RestoreError(
                Code.OUTPUT_UNWRITABLE,
                f"the result of '{photo.name}' would be among the photos of '{source.place}'",
                "Choose an output folder that does not hold the photos.",
            )
