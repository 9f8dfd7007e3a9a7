"""The local engine: worker processes on this machine, and threads that read photos ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

from restore.batch.folder import Folder, LocalFolder
from restore.batch.listing import BatchPhoto
from restore.batch.pool import Lost, WorkerPool
from restore.batch.processing import BatchJob, Outcome, Work, failure
from restore.batch.run import Engine, OnOutcome
from restore.batch.workers import plan_workers
from restore.errors import Code, RestoreError, system_reason
from restore.imaging.limits import check_file_size

READERS = 4
MAX_LOSSES = 3
"""Ends of workers during one photo after which the photo has failed."""
POLL_S = 0.5


class LocalEngine:
    """Restores photos with a pool of worker processes.

    Args:
        pool: the entered pool.
        folder: the input folder.
        on_outcome: called in this thread for each photo, in the order in which they are finished.
        stop: once set, no further photo is started.
    """

    def __init__(
        self, pool: WorkerPool, folder: Folder, on_outcome: OnOutcome, stop: Event
    ) -> None:
        self.pool, self.folder, self.on_outcome, self.stop = pool, folder, on_outcome, stop
        self._photos: dict[str, BatchPhoto] = {}
        self._losses: dict[str, int] = {}
        self._again: deque[Sequence[Work]] = deque()

    def run(self, photos: Iterable[BatchPhoto]) -> None:
        """Restore photos until all are done, or those in progress after `stop` is set.

        Raises:
            RestoreError: the workers cannot be used at all.
        """
        with ThreadPoolExecutor(READERS, thread_name_prefix="read") as readers:
            groups = self._read_groups(photos, readers)
            while True:
                self._submit(groups)
                if not self.pool.groups_in_progress:
                    return
                for result in self.pool.results(POLL_S):
                    self._take(result)

    def _submit(self, groups: Iterator[Sequence[Work]]) -> None:
        while self.pool.free_groups and not self.stop.is_set():
            group = self._again.popleft() if self._again else next(groups, None)
            if group is None:
                return
            self.pool.submit(group)

    def _take(self, result: list[Outcome] | Lost) -> None:
        if isinstance(result, Lost):
            self._repeat(result)
            return
        for outcome in result:
            self._finish(outcome)

    def _finish(self, outcome: Outcome) -> None:
        self._losses.pop(outcome.name, None)
        self.on_outcome(self._photos.pop(outcome.name), outcome)

    def _repeat(self, lost: Lost) -> None:
        """Queue lost work again: the photos in progress one by one, so that one is found guilty."""
        for number, group in enumerate(lost.works):
            if number > 0:
                self._again.append(group)
                continue
            for work in group:
                losses = self._losses[work.name] = self._losses.get(work.name, 0) + 1
                if losses < MAX_LOSSES:
                    self._again.append([work])
                else:
                    self._finish(failure(work.name, lost_error(losses, lost.exit_code)))

    def _read_groups(
        self, photos: Iterable[BatchPhoto], readers: ThreadPoolExecutor
    ) -> Iterator[Sequence[Work]]:
        """Yield groups of photos; the next ones are read meanwhile."""
        ahead: deque[Future[Work | Outcome]] = deque()
        source = iter(photos)
        group: list[Work] = []
        size = self.pool.plan.group_size
        while True:
            while len(ahead) < READERS + size and (photo := next(source, None)) is not None:
                self._photos[photo.name] = photo
                ahead.append(readers.submit(self._read, photo))
            if not ahead:
                break
            read = ahead.popleft().result()
            if isinstance(read, Outcome):
                self._finish(read)
                continue
            group.append(read)
            if len(group) == size:
                yield group
                group = []
        if group:
            yield group

    def _read(self, photo: BatchPhoto) -> Work | Outcome:
        return read_photo(self.folder, photo.name, photo.entry.size)


def run_local(workers: int | None = None) -> Engine:
    """Return the local engine as `run_batch` calls it.

    Args:
        workers: number of worker processes; None chooses it.
    """

    def engine(
        job: BatchJob,
        folder: Folder,
        photos: Sequence[BatchPhoto],
        on_outcome: OnOutcome,
        stop: Event,
    ) -> None:
        with WorkerPool(job, plan_workers(job.device, workers)) as pool:
            LocalEngine(pool, folder, on_outcome, stop).run(photos)

    return engine


def read_photo(folder: Folder, name: str, size: int) -> Work | Outcome:
    """Return a photo with its bytes, or the outcome of a photo that cannot be read.

    Args:
        name: its path relative to the folder.
        size: its size in bytes, as it was listed.
    """
    try:
        check_file_size(size, Path(name).name)
    except RestoreError as error:
        return failure(name, error)
    try:
        return Work(name, folder.read(name))
    except OSError as error:
        target = folder.link_target(name) if isinstance(folder, LocalFolder) else ""
        link = f"it is a link to '{target}', which" if target else "the file"
        reason = f"{link} cannot be read ({system_reason(error)})"
        remedy = "Check that it exists and its permissions, then run with --retry-failed."
        return failure(name, RestoreError(Code.PHOTO_MISSING, reason, remedy))


def lost_error(losses: int, exit_code: int | None) -> RestoreError:
    """Return the error for a photo whose worker has ended each time.

    Args:
        losses: how often.
        exit_code: of the last worker; None if it is unknown.
    """
    known = "" if exit_code is None else f", at last with exit code {exit_code}"
    return RestoreError(
        Code.WORKER_LOST,
        f"the worker process ended {losses} times during this photo{known}",
        "-9 is often a lack of memory: try fewer workers, then --retry-failed.",
    )
