"""Watching a prediction while it runs: claim, cancellation, progress, and a worker that hangs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

from restore.service.changes import News
from restore.service.jobs import JobStore
from restore.service.records import Job, Renewal
from restore.service.worker import Worker

LEASE_S = 30.0
"""Time after which a job returns to the queue if its gateway no longer renews its claim."""
POLL_S = 0.5
RENEW_S = 2.0
STALL_LIMIT_S = 1800.0
"""Time without a new line of progress after which a prediction counts as hanging."""
CANCEL_LIMIT_S = 120.0
"""Time in which a cancelled prediction has to end. One tile on a slow CPU takes half of it."""
START_S = 2.0
"""Time in which a prediction that has logged nothing is not cancelled: Cog's exception would end a
thread that is just starting, and the prediction would never end."""
POLLED_BYTES_PER_S = 2**22
"""Cog returns the inputs with the logs, so large requests are asked for their logs less often."""

Value = TypeVar("Value")

log = logging.getLogger("restore.service.attempt_watch")


class ClaimLost(Exception):  # noqa: N818 - the job has not failed
    """The job has ended, or belongs to another worker."""


class WorkerHangs(Exception):  # noqa: N818
    """The worker does not answer, or its prediction makes no progress."""


class AttemptWatch:
    """Watches one attempt at a job.

    Args:
        job: as claimed.
        worker: the worker that claimed it.
        jobs: where the job is.

    Attributes:
        prediction_id: id of the prediction on the worker.
        body_bytes: size of the request.
        is_cancelling: whether the prediction was told to stop.
    """

    def __init__(self, job: Job, worker: Worker, jobs: JobStore) -> None:
        self.prediction_id = f"{job.id}-{job.attempt}"
        self.body_bytes = 0
        self.is_cancelling = False
        self._job, self._worker, self._jobs = job, worker, jobs
        self._known_logs = ""
        self._renewed_s = self._polled_s = self._progressed_s = time.monotonic()
        self._started_s = self._renewed_s
        self._cancelled_s = 0.0
        self._cancel_is_known = False

    async def over(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Watch a piece of work until it ends, and return its result.

        Raises:
            ClaimLost, WorkerHangs: the work was cancelled for this reason.
            Exception: any error of the work.
        """
        task = asyncio.create_task(work)
        try:
            with self._jobs.changes.subscribe(self._job.id) as news:
                while not task.done():
                    await self._until_done_or_news(task, news)
                    if not task.done():
                        await self._check_if_possible()
            return task.result()
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _until_done_or_news(self, task: asyncio.Task[Any], news: News) -> None:
        waiting = asyncio.create_task(news.wait(POLL_S))
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    async def _check_if_possible(self) -> None:
        """Check the attempt, unless the database cannot be reached for a moment.

        Raises:
            ClaimLost, WorkerHangs
        """
        try:
            await self._check()
        except DBAPIError as error:
            log.warning("job %s: the database failed (%s)", self._job.id, error.orig)

    async def _check(self) -> None:
        """Do what is due.

        Raises:
            ClaimLost, WorkerHangs
        """
        now_s = time.monotonic()
        if await self._must_cancel(now_s):
            await self._cancel(now_s)
        if self._worker.is_lost:
            raise WorkerHangs("the worker does not answer")
        poll_s = max(POLL_S, self.body_bytes / POLLED_BYTES_PER_S)
        if now_s - self._polled_s >= poll_s:
            self._polled_s = now_s
            await self._take_logs(now_s)
        if now_s - self._progressed_s > STALL_LIMIT_S:
            raise WorkerHangs(f"it made no progress for {STALL_LIMIT_S:.0f} s")

    async def _must_cancel(self, now_s: float) -> bool:
        """Renew the claim if it is time, and return whether the job has to be cancelled."""
        if now_s - self._renewed_s < RENEW_S:
            job = await asyncio.to_thread(self._jobs.get, self._job.id)
            return job is not None and job.cancel_requested
        self._renewed_s = now_s
        renewal = await asyncio.to_thread(
            self._jobs.renew, self._job.id, self._job.attempt, LEASE_S
        )
        if renewal is Renewal.LOST:
            raise ClaimLost
        return renewal is Renewal.CANCEL

    async def _cancel(self, now_s: float) -> None:
        if not self._known_logs and now_s - self._started_s < START_S:
            return
        if not self.is_cancelling:
            self.is_cancelling, self._cancelled_s = True, now_s
        # Cog raises an exception in the prediction for each request, so one must do.
        if not self._cancel_is_known:
            self._cancel_is_known = await self._worker.client.cancel(self.prediction_id)
        if now_s - self._cancelled_s > CANCEL_LIMIT_S:
            raise WorkerHangs(f"it did not stop within {CANCEL_LIMIT_S:.0f} s after a cancellation")

    async def _take_logs(self, now_s: float) -> None:
        """Add new lines of the prediction's logs to the job."""
        logs = await self._worker.client.logs(self.prediction_id)
        complete = (logs or "").rpartition("\n")[0]
        if len(complete) <= len(self._known_logs):
            return
        new = complete[len(self._known_logs) :].lstrip("\n") + "\n"
        self._known_logs, self._progressed_s = complete, now_s
        await asyncio.to_thread(self._jobs.add_logs, self._job.id, self._job.attempt, new)
