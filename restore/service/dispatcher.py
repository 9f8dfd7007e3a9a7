"""Dispatchers: one task per worker, which takes jobs from the queue while the worker is ready."""

from __future__ import annotations

import asyncio
import logging

from restore.service.attempt import Attempt
from restore.service.attempt_watch import LEASE_S
from restore.service.changes import POLL_S, QUEUE, News
from restore.service.files import FileStore
from restore.service.jobs import JobStore
from restore.service.worker import Worker
from restore.service.workers import Workers

ERROR_PAUSE_S = 1.0

log = logging.getLogger("restore.service.dispatcher")


class Dispatcher:
    """Gives jobs to one worker.

    Args:
        worker: the worker, which somebody else runs.
        jobs, files: the queue, and the files of the jobs.
        gateway: id of this gateway.
    """

    def __init__(self, worker: Worker, jobs: JobStore, files: FileStore, gateway: str) -> None:
        self.worker, self.jobs, self.files, self.gateway = worker, jobs, files, gateway

    async def run(self) -> None:
        """Run jobs until this is cancelled; a running job then returns to the queue."""
        with self.jobs.changes.subscribe(QUEUE) as news:
            while True:
                try:
                    await self.worker.until_ready()
                    if attempt := await self._next(news):
                        with self.worker.working(attempt.job.id):
                            await attempt.run()
                except Exception:
                    # Such as a database that cannot be reached. A claimed job is not lost: its
                    # lease expires.
                    log.exception("the dispatcher of worker %s failed", self.worker.name)
                    await asyncio.sleep(ERROR_PAUSE_S)

    async def _next(self, news: News) -> Attempt | None:
        """Claim a job, or wait a moment for one and return None."""
        attempt = await asyncio.to_thread(self._claim)
        if attempt is None:
            await news.wait(POLL_S)
        return attempt

    def _claim(self) -> Attempt | None:
        job = self.jobs.claim(self.worker.name, self.gateway, LEASE_S)
        if job is None:
            return None
        attempt = Attempt(job, self.worker, self.jobs, self.files)
        attempt.prepare()
        return attempt


async def dispatch(workers: Workers, jobs: JobStore, files: FileStore, gateway: str) -> None:
    """Run all workers, and give them jobs, until this is cancelled.

    Then running jobs return to the queue, and the workers that were started here are stopped.
    """
    await asyncio.to_thread(files.results.mkdir, parents=True, exist_ok=True, mode=0o700)
    running = asyncio.create_task(workers.run())
    tasks = [
        asyncio.create_task(Dispatcher(worker, jobs, files, gateway).run())
        for worker in workers.all
    ]
    try:
        # None of them ends but with an error.
        await asyncio.wait([running, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for group in (tasks, [running]):
            for task in group:
                task.cancel()
            await asyncio.gather(*group, return_exceptions=True)
    for task in (running, *tasks):
        if not task.cancelled():
            task.result()
