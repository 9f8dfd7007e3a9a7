"""News of changes between the threads and tasks of this process.

The database is the truth. A notification only saves the wait for the next poll, which also sees
what other gateways have changed.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from restore.service.records import Job

QUEUE = "queue"
"""Key of the news that a job is waiting for a worker."""
DELIVERIES = "deliveries"
"""Key of the news that a webhook is due."""

POLL_S, MAX_POLL_S = 0.5, 2.0
"""Pauses between two looks at a job, which grow: a thousand clients may be waiting."""


class News:
    """The subscription of one task to one key."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()
        self.job: Job | None = None
        """The job as it was after the last change that was announced, if any was."""

    def announce(self, job: Job | None = None) -> None:
        """Wake the task. Called from any thread."""
        if job is not None:
            self.job = job
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            if not self._loop.is_closed():
                raise  # a closed loop has no tasks to wake

    async def wait(self, timeout_s: float) -> bool:
        """Wait for a notification since the last call.

        Returns:
            False if none came within `timeout_s`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Changes:
    """Passes notifications from threads to the tasks that have subscribed to a key.

    Attributes:
        waits_end_s: time of the monotonic clock at which all calls of `wait_for` end, because the
            process ends.
    """

    def __init__(self) -> None:
        self.waits_end_s = math.inf
        self._lock = threading.Lock()
        self._news: dict[str, set[News]] = {}

    def notify(self, key: str, job: Job | None = None) -> None:
        """Wake all tasks that have subscribed to a key: a job's id, QUEUE or DELIVERIES.

        Args:
            job: the job of this id after its change; saves the subscribers a look at the database.
        """
        with self._lock:
            subscribers = tuple(self._news.get(key, ()))
        for news in subscribers:
            news.announce(job)

    @contextmanager
    def subscribe(self, key: str) -> Iterator[News]:
        """Subscribe the running task to a key.

        Subscribe before the database is read: then no change between the two is missed.
        """
        news = News()
        with self._lock:
            self._news.setdefault(key, set()).add(news)
        try:
            yield news
        finally:
            with self._lock:
                self._news[key].discard(news)
                if not self._news[key]:
                    del self._news[key]


class JobReader(Protocol):
    """What `wait_for` needs of a JobStore."""

    def get(self, job_id: str, owner: str | None = None) -> Job | None: ...


async def wait_for(
    jobs: JobReader,
    changes: Changes,
    job_id: str,
    until: Callable[[Job], bool],
    timeout_s: float,
    *,
    known: Job | None = None,
) -> Job | None:
    """Wait until a job meets a condition.

    Args:
        known: the job as it is now; None means to look for it.

    Returns:
        The job as it was read last, whether it meets the condition or the time is over, also that
        of `changes.waits_end_s`; None if it does not exist.
    """
    end_s = asyncio.get_running_loop().time() + timeout_s
    pause_s = POLL_S
    with changes.subscribe(job_id) as news:
        while True:
            job = known or await asyncio.to_thread(jobs.get, job_id)
            remaining_s = min(
                end_s - asyncio.get_running_loop().time(), changes.waits_end_s - time.monotonic()
            )
            if job is None or until(job) or remaining_s <= 0:
                return job
            # News that arrive in the wrong order are set right by the next look at the database.
            known = news.job if await news.wait(min(pause_s, remaining_s)) else None
            pause_s = min(1.5 * pause_s, MAX_POLL_S)
