"""A worker: a Cog server whose health is watched, so that jobs go to it only while it is ready."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from restore.service.worker_client import Health, WorkerClient
from restore.service.worker_state import WorkerState, WorkerStatus

POLL_S = 2.0
"""Time between health checks of a worker that is ready or works on a job of this service."""
WAIT_POLL_S = 0.25
"""The same for a worker that may be ready soon."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 15.0
"""Pauses before a worker is asked again that does not answer, or that answers health checks but no
requests; each is twice as long as the one before."""
SILENCE_LIMIT_S = 30.0
"""Time without an answer to a health check after which a worker counts as lost."""
MAX_REASON_CHARACTERS = 300

STATUSES = {
    "STARTING": WorkerStatus.STARTING,
    "READY": WorkerStatus.READY,
    "BUSY": WorkerStatus.BUSY,
}
"""From Cog's statuses. All others are failures."""

log = logging.getLogger("restore.service.worker")


class Worker:
    """A worker at a fixed address, which somebody else starts and stops.

    Args:
        public_url: base URL of the service for this worker, or None.

    Attributes:
        name: as in Job.worker.
        client: sends requests to it.
        shares_disk: whether it may read the files of the service by their path.
        silent_since_s: time (monotonic) of the first health check without an answer, or None.
    """

    shares_disk = False

    def __init__(self, name: str, url: str, public_url: str | None = None) -> None:
        self.name, self.public_url = name, public_url
        self.client = WorkerClient(url)
        self.silent_since_s: float | None = None
        self._url: str | None = url
        self._status, self._reason = WorkerStatus.STARTING, ""
        self._since, self._since_s = datetime.now(UTC), time.monotonic()
        self._job_id: str | None = None
        self._restarts = 0
        self._was_ready = False
        self._doubts = self._failed_checks = 0
        self._ready, self._doubted = asyncio.Event(), asyncio.Event()

    @property
    def state(self) -> WorkerState:
        """The state of the worker now."""
        return WorkerState(
            name=self.name,
            url=self._url,
            status=WorkerStatus.BUSY if self._job_id else self._status,
            job_id=self._job_id,
            restarts=self._restarts,
            since=self._since,
            reason=self._reason,
        )

    @property
    def is_lost(self) -> bool:
        """Whether the worker has not answered health checks for SILENCE_LIMIT_S."""
        since_s = self.silent_since_s
        return since_s is not None and time.monotonic() - since_s > SILENCE_LIMIT_S

    async def run(self) -> None:
        """Watch the worker's health until this is cancelled."""
        while True:
            await self.check_health()
            await self.pause()

    async def until_ready(self) -> None:
        """Wait until the worker can take a job."""
        await self._ready.wait()

    @contextmanager
    def working(self, job_id: str) -> Iterator[None]:
        """Note that the worker works on a job within a `with` block."""
        self._job_id, self._since = job_id, datetime.now(UTC)
        try:
            yield
        finally:
            self._job_id, self._since = None, datetime.now(UTC)
            if self._ready.is_set():  # the last health check may have found it busy
                self._set(WorkerStatus.READY, "")

    def trust(self) -> None:
        """Note that the worker has answered a request."""
        self._doubts = 0

    def doubt(self, reason: str) -> None:
        """Give the worker no job before its next health check, which follows soon."""
        self._doubts += 1
        log.warning("worker %s: %s", self.name, reason)
        self._set(WorkerStatus.UNREACHABLE, reason)
        self._doubted.set()

    async def replace(self, reason: str) -> None:
        """Deal with a worker that hangs. One that runs elsewhere can only be left alone."""
        self.doubt(f"{reason}; restart it if it does not recover")

    async def check_health(self) -> Health | None:
        """Ask the worker for its health, and note the answer."""
        asked_s = time.monotonic()
        health = await self.client.health()
        if health is None:
            if self.silent_since_s is None:
                self.silent_since_s = asked_s
            self._failed_checks += 1
            self._set(WorkerStatus.UNREACHABLE, self._reason or "it does not answer")
            return None
        self.silent_since_s, self._failed_checks = None, 0
        status = STATUSES.get(health.status, WorkerStatus.FAILED)
        reason = ""
        if status is WorkerStatus.FAILED:
            reason = f"{health.status}: {health.detail[-MAX_REASON_CHARACTERS:].strip()}"
        self._set(status, reason)
        return health

    async def pause(self) -> None:
        """Wait until the next health check: for a time, or until the worker is doubted."""
        try:
            async with asyncio.timeout(self._pause_s()):
                await self._doubted.wait()
        except TimeoutError:
            return
        self._doubted.clear()
        if self._doubts > 1:
            await asyncio.sleep(_doubled(self._doubts))

    def _pause_s(self) -> float:
        if self._failed_checks:
            return _doubled(self._failed_checks)
        is_steady = self._status is WorkerStatus.READY or self._job_id
        return POLL_S if is_steady else WAIT_POLL_S

    def _set(self, status: WorkerStatus, reason: str) -> None:
        if status is WorkerStatus.READY:
            self._was_ready = True
            self._ready.set()
        elif not (status is WorkerStatus.BUSY and self._job_id):
            self._ready.clear()
        if status is WorkerStatus.STARTING and self._was_ready:
            self._was_ready = False
            self._restarts += 1
        self._reason = reason
        if status is self._status:
            return
        if status is WorkerStatus.FAILED:
            log.error("worker %s failed: %s", self.name, reason)
        elif status is WorkerStatus.READY and self._status is not WorkerStatus.BUSY:
            log.info("worker %s is ready", self.name)
        self._status = status
        self._since, self._since_s = datetime.now(UTC), time.monotonic()


def _doubled(count: int) -> float:
    """Return the pause after a number of failures in a row."""
    return min(FIRST_PAUSE_S * 2.0 ** min(count - 1, 10), MAX_PAUSE_S)
