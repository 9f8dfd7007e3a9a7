"""Tests of dispatchers, with servers that speak as Cog's does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from fakegateway import GATEWAY, Gateway, fast_engine, hangs
from fakeworker import (
    FakeCog,
    Request,
)
from servicejobs import new_job

from restore.service import database
from restore.service.changes import Changes, wait_for
from restore.service.dispatcher import dispatch
from restore.service.files import FileStore
from restore.service.jobs import JobStore
from restore.service.records import Job, Status
from restore.service.settings import Settings
from restore.service.workers import Workers

pytestmark = pytest.mark.timeout(60)


def test_job_returns_to_the_queue_when_the_gateway_stops(
    tmp_path: Path, with_gateway: Callable[..., None]
) -> None:
    kept: list[Gateway] = []

    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours.append(hangs)
        job = gateway.submit()
        await gateway.until(job, lambda job: job.status is Status.PROCESSING)
        await asyncio.sleep(0.05)
        kept.append(gateway)

    with_gateway(scenario)
    engine = database.connect(Settings(data=tmp_path))
    [job] = JobStore(engine).list(None, limit=10).jobs
    engine.dispose()
    assert (job.status, job.attempt, job.failures) == (Status.STARTING, 1, 0)
    assert "the gateway was stopped" in job.logs


def test_jobs_are_spread_over_all_workers(tmp_path: Path) -> None:
    async def scenario() -> None:
        cogs = [FakeCog(), FakeCog()]
        async with cogs[0].serving() as first, cogs[1].serving() as second:
            settings = Settings(data=tmp_path, workers=0, worker_urls=(first, second))
            engine = fast_engine(settings)
            jobs, files = JobStore(engine, Changes()), FileStore(engine, settings)
            together = asyncio.Barrier(2)

            async def behaviour(request: Request) -> None:
                await asyncio.wait_for(together.wait(), 10)

            for cog in cogs:
                cog.behaviours.append(behaviour)
            submitted = [jobs.submit(new_job(input={"task": "upscale"})) for _ in range(2)]
            task = asyncio.create_task(dispatch(Workers(settings), jobs, files, GATEWAY))
            for job in submitted:
                found = await wait_for(jobs, jobs.changes, job.id, is_final, 20)
                assert found is not None
                assert found.status is Status.SUCCEEDED
            assert sorted(cog.ids[0] for cog in cogs) == sorted(f"{job.id}-1" for job in submitted)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()
            engine.dispose()

    asyncio.run(scenario())


def is_final(job: Job) -> bool:
    return job.status.is_final


def test_gateway_without_workers_dispatches_nothing(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    engine = fast_engine(settings)
    files = FileStore(engine, settings)
    none = Workers(Settings(workers=0, database_url="postgresql://host/name"))
    asyncio.run(dispatch(none, JobStore(engine), files, GATEWAY))
    engine.dispose()
