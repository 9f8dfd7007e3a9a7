"""A worker on this machine: its server is started, and started again when it ends or hangs.

The server's supervisor starts Cog's server again if that process or its worker process ends. What
remains for this module: a supervisor that ends, a setup that fails, and a server that hangs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping

from restore.errors import RestoreError, system_reason
from restore.service.worker import Worker
from restore.service.worker_process import WorkerProcess
from restore.service.worker_state import WorkerStatus
from restore.serving.cog_process import PREDICTOR

FIRST_RESTART_PAUSE_S, MAX_RESTART_PAUSE_S = 0.5, 30.0
"""Pauses before the server is started again; each is twice as long as the one before."""
STEADY_S = 60.0
"""Time after which a server counts as steady, so that the next pause is the first one again."""
START_LIMIT_S = 120.0
"""Time in which a new server has to answer its first health check."""
FAILURE_LIMIT_S = 60.0
"""Time with a failure in which the server may recover by itself."""
SETUP_LIMIT_S = 3600.0
"""Limit of the setup, which may download several gigabytes."""
NO_SERVER = "http://127.0.0.1:9"

log = logging.getLogger("restore.service.local_worker")


class LocalWorker(Worker):
    """A worker whose server this process starts and stops.

    Args:
        predictor: as of `launcher.start`.

    Attributes:
        environment: variables of the server besides those of this process.
    """

    shares_disk = True

    def __init__(self, name: str, predictor: str = PREDICTOR) -> None:
        super().__init__(name, NO_SERVER)
        self._url = None
        self.environment: Mapping[str, str] = {}
        self._predictor = predictor
        self._fault: str | None = None
        self._has_answered = False

    async def run(self) -> None:
        """Run the server until this is cancelled; then stop it."""
        pause_s = FIRST_RESTART_PAUSE_S
        while True:
            started_s = time.monotonic()
            reason = await self._run_once()
            self._set(WorkerStatus.UNREACHABLE, reason)
            if time.monotonic() - started_s > STEADY_S:
                pause_s = FIRST_RESTART_PAUSE_S
            log.error("worker %s is started again in %.1f s: %s", self.name, pause_s, reason)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_RESTART_PAUSE_S)
            self._restarts, self._was_ready = self._restarts + 1, False

    async def replace(self, reason: str) -> None:
        """Kill the server, and let `run` start another one."""
        self._fault = reason
        self.doubt(reason)

    async def _run_once(self) -> str:
        """Run a server until it ends or has to be replaced; return the reason."""
        try:
            process = await asyncio.to_thread(
                WorkerProcess, self.environment, predictor=self._predictor
            )
        except RestoreError as error:
            return f"its server cannot be started: {error}"
        except OSError as error:
            place = f"'{error.filename}': " if error.filename else ""
            return f"its server cannot be started: {place}{system_reason(error)}"
        try:
            self.client.move(process.url)
            self._url = process.url
            self._fault, self.silent_since_s, self._has_answered = None, None, False
            self._set(WorkerStatus.STARTING, "")
            reason = await self._watch(process)
        except asyncio.CancelledError:
            await asyncio.shield(asyncio.to_thread(process.stop))
            raise
        self._url = None
        self._set(WorkerStatus.UNREACHABLE, reason)
        await asyncio.shield(asyncio.to_thread(process.kill))
        return reason

    async def _watch(self, process: WorkerProcess) -> str:
        """Check the server's health until there is a reason to replace it; return that reason."""
        while True:
            if await self.check_health():
                self._has_answered = True
            if reason := self._reason_to_replace(process):
                return reason
            await self.pause()

    def _reason_to_replace(self, process: WorkerProcess) -> str | None:
        if self._fault:
            return self._fault
        if process.has_ended:
            return "its server has ended"
        status_s = time.monotonic() - self._since_s
        if self.is_lost and (self._has_answered or status_s > START_LIMIT_S):
            return "its server does not answer"
        if self._status is WorkerStatus.FAILED and status_s > FAILURE_LIMIT_S:
            return self._reason
        if self._status is WorkerStatus.STARTING and status_s > SETUP_LIMIT_S:
            return f"its setup took longer than {SETUP_LIMIT_S:.0f} s"
        return None
