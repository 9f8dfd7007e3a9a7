"""A gateway with one worker, which is a server that speaks as Cog's does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from fakeworker import (
    FakeCog,
    Request,
)
from servicejobs import new_job
from sqlalchemy import Engine, event

from restore.service import database
from restore.service.changes import Changes, wait_for
from restore.service.dispatcher import Dispatcher
from restore.service.files import FileStore
from restore.service.jobs import JobStore
from restore.service.records import Job
from restore.service.settings import Settings
from restore.service.worker import Worker

GATEWAY = "gateway"


PHOTO = b"\xff\xd8 photo"


def fast_engine(settings: Settings) -> Engine:
    """Connect to the database, which need not survive a power failure here."""
    engine = database.connect(settings)
    engine.dispose()
    event.listen(engine, "connect", lambda sqlite, _: sqlite.execute("PRAGMA synchronous=OFF"))
    return engine


class Gateway:
    """A gateway with one worker.

    Attributes:
        cog: the server of the worker.
        ends: all changes that ended a job.
    """

    def __init__(self, folder: Path, cog: FakeCog, worker: Worker) -> None:
        settings = Settings(data=folder)
        self.engine = fast_engine(settings)
        self.jobs = JobStore(self.engine, Changes())
        self.files = FileStore(self.engine, settings)
        self.files.results.mkdir(exist_ok=True)
        self.cog, self.worker = cog, worker
        self.ends: list[Job] = []
        tell = self.jobs.tell

        def record(job: Job) -> None:
            if job.status.is_final:
                self.ends.append(job)
            tell(job)

        self.jobs.tell = record  # type: ignore[method-assign]

    def submit(self, **fields: Any) -> Job:
        photo = self.files.save_bytes(
            PHOTO, owner="", name="tiny one.jpeg", content_type="image/jpeg"
        )
        values = {"input": {"task": "upscale", "image": f"file:{photo.id}"}}
        return self.jobs.submit(new_job(**(values | fields)))

    async def until(self, job: Job, met: Callable[[Job], bool]) -> Job:
        found = await wait_for(self.jobs, self.jobs.changes, job.id, met, 20)
        assert found is not None
        assert met(found), found
        return found

    async def finished(self, job: Job) -> Job:
        """Wait for the end of a job, which must be the only one."""
        found = await self.until(job, lambda job: job.status.is_final)
        await asyncio.sleep(0.02)  # a second end would come now
        assert [end.id for end in self.ends] == [job.id]
        return found


class LocalWorker(Worker):
    shares_disk = True


Scenario = Callable[[Gateway], Awaitable[None]]


@contextlib.asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[Gateway]:
    dispatcher = Dispatcher(gateway.worker, gateway.jobs, gateway.files, GATEWAY)
    tasks = [asyncio.create_task(each.run()) for each in (gateway.worker, dispatcher)]
    try:
        yield gateway
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        gateway.worker.client.close()
        gateway.engine.dispose()


def answers(status: int, content: Any) -> Callable[[Request], Awaitable[tuple[int, Any]]]:
    async def behaviour(request: Request) -> tuple[int, Any]:
        return status, content

    return behaviour


async def hangs(request: Request) -> None:
    await request.body()
    await asyncio.sleep(3600)
