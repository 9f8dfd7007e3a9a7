"""Worker processes of the local engine: each has the networks and restores photos.

`concurrent.futures` gives up all work when one of its processes dies. This pool starts the process
again and returns the work that it had.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from queue import Queue
from typing import Any

from restore.batch.processing import (
    BatchJob,
    Outcome,
    Processor,
    Work,
    limit_threads,
    remove_scratch,
)
from restore.errors import Code, RestoreError

QUEUED_GROUPS = 2
"""Groups of photos that a worker has: one that it works on, and one that is ready."""
MAX_DEATHS = 10
"""Ends of workers in succession, without a result of any, after which the batch is given up."""


@dataclass(frozen=True)
class WorkerPlan:
    """The worker processes of a machine.

    Attributes:
        devices: the device of each worker; None means the default.
        threads: threads of each worker; 0 leaves the default of torch and OpenCV.
        group_size: photos per request, 1 to 4. Photos of a request share batches of faces.
    """

    devices: tuple[str | None, ...]
    threads: int = 0
    group_size: int = 1


@dataclass(frozen=True)
class Lost:
    """Work whose worker process ended before it was done.

    Attributes:
        works: the groups of photos, the one in progress first.
        exit_code: of the process; negative for a signal.
    """

    works: tuple[Sequence[Work], ...]
    exit_code: int | None


@dataclass(frozen=True)
class SetupFailure:
    """Why a worker could not load its networks."""

    code: Code
    reason: str
    remedy: str


@dataclass
class _Worker:
    process: Any
    connection: Connection
    device: str | None
    groups: list[Sequence[Work]] = field(default_factory=list)


class WorkerPool:
    """Runs worker processes inside a `with` block.

    Args:
        job: what to do with the photos.
        plan: how many workers, and where.
        target: what a worker process runs; tests replace it.
    """

    def __init__(
        self, job: BatchJob, plan: WorkerPlan, target: Callable[..., None] | None = None
    ) -> None:
        self.job, self.plan, self.target = job, plan, target or run_worker
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._deaths = 0

    def __enter__(self) -> WorkerPool:
        self._workers = [self._start(device) for device in self.plan.devices]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.connection.close()  # an idle worker ends by itself then
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(10)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            remove_scratch(os.getpid(), worker.process.pid)

    @property
    def free_groups(self) -> int:
        """Number of groups that can be submitted without waiting."""
        return sum(QUEUED_GROUPS - len(worker.groups) for worker in self._workers)

    @property
    def groups_in_progress(self) -> int:
        """Number of groups that were submitted and have no outcome."""
        return sum(len(worker.groups) for worker in self._workers)

    def submit(self, group: Sequence[Work]) -> None:
        """Send photos to the worker with the least work."""
        worker = min(self._workers, key=lambda one: len(one.groups))
        worker.groups.append(group)
        # A worker that has ended is found by `results`.
        with suppress(OSError):
            worker.connection.send(group)

    def results(self, timeout_s: float) -> Iterator[list[Outcome] | Lost]:
        """Yield what has been finished or lost; wait for the first at most for a time.

        Raises:
            RestoreError: a worker could not load its networks; WORKER_LOST if workers end at once,
                again and again.
        """
        waiting = {worker.connection: worker for worker in self._workers}
        for ready in wait(list(waiting), timeout_s):
            assert isinstance(ready, Connection)
            worker = waiting[ready]
            try:
                message = ready.recv()
            except (EOFError, OSError):
                yield self._replace(worker)
                continue
            if isinstance(message, SetupFailure):
                raise RestoreError(message.code, message.reason, message.remedy)
            self._deaths = 0
            worker.groups.pop(0)
            yield message

    def _start(self, device: str | None) -> _Worker:
        own, other = self._context.Pipe()
        job = BatchJob(self.job.task, self.job.options, self.job.weights, device or self.job.device)
        process = self._context.Process(
            target=self.target, args=(other, job, self.plan.threads), daemon=True
        )
        # Python's resource tracker unblocks Ctrl-C when it starts, which it would do below.
        resource_tracker.ensure_running()
        # The worker starts with Ctrl-C blocked: in a terminal, all processes of a command get it.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        other.close()  # so that the end of the process closes the connection
        return _Worker(process, own, device)

    def _replace(self, worker: _Worker) -> Lost:
        worker.process.join()
        remove_scratch(os.getpid(), worker.process.pid)
        self._deaths += 1
        if self._deaths > MAX_DEATHS:
            raise RestoreError(
                Code.WORKER_LOST,
                f"{self._deaths} workers have ended in succession without a result; the exit code"
                f" of the last one is {worker.process.exitcode}",
                "Look for a reason in the messages above. -9 is often a lack of memory: try"
                " --workers 1.",
            )
        index = self._workers.index(worker)
        self._workers[index] = self._start(worker.device)
        return Lost(tuple(worker.groups), worker.process.exitcode)


def run_worker(connection: Connection, job: BatchJob, threads: int) -> None:
    """Restore the photos that arrive until the connection is closed: the worker's main function."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process
    logging.basicConfig(level=logging.ERROR)  # warnings about photos are in their reports
    try:
        if threads:
            limit_threads(threads)
        processor = Processor(job)
    except RestoreError as error:
        connection.send(SetupFailure(error.code, error.reason, error.remedy))
        return
    serve(connection, processor.restore)


def serve(connection: Connection, restore: Callable[[Sequence[Work]], list[Outcome]]) -> None:
    """Answer each group of photos that arrives with its outcomes, in order."""
    groups: Queue[Sequence[Work] | None] = Queue()

    def receive() -> None:
        # In a thread, so that the main process never waits until this one reads.
        with suppress(EOFError, OSError):  # the main process has ended, or wants no more
            while True:
                groups.put(connection.recv())
        groups.put(None)

    threading.Thread(target=receive, name="receive", daemon=True).start()
    with suppress(OSError):
        while (group := groups.get()) is not None:
            connection.send(restore(group))
