"""Regular duties of a gateway for the queue: heartbeat, deadlines, lost leases."""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy.exc import DBAPIError

from restore.service import gateways
from restore.service.jobs import JobStore
from restore.service.outage_log import OutageLog
from restore.words import counted

PERIOD_S = 1.0
HEARTBEAT_S = 10.0

log = logging.getLogger("restore.service.keeper")


class Keeper:
    """Cancels jobs whose deadline has passed, and releases jobs whose lease has expired.

    Args:
        gateway_id: id of this gateway.
    """

    def __init__(self, jobs: JobStore, gateway_id: str) -> None:
        self._jobs = jobs
        self._gateway_id = gateway_id

    async def run(self) -> None:
        """Work until the task is cancelled. A database that is away for a while does no harm."""
        next_heartbeat_s = 0.0
        outages = OutageLog("job keeper")
        while True:
            now_s = asyncio.get_running_loop().time()
            try:
                await asyncio.to_thread(self.work)
                if now_s >= next_heartbeat_s:
                    await asyncio.to_thread(gateways.report, self._jobs.engine, self._gateway_id)
                    next_heartbeat_s = now_s + HEARTBEAT_S
                outages.worked()
            except DBAPIError as error:
                outages.failed(error)
            await asyncio.sleep(PERIOD_S)

    def work(self) -> None:
        """Do one round."""
        for job in self._jobs.expire_deadlines():
            log.info("job %s: its deadline has passed", job.id)
        released = self._jobs.recover()
        if released:
            log.warning("released after the lease had expired: %s", counted(released, "job"))
