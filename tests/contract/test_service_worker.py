"""Tests of the job service with a real Cog server, whose processes are killed and stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from coghttp import grey_jpeg
from replicate.prediction import Prediction

from restore.service import database, local_worker, worker, worker_client
from restore.service.changes import Changes, wait_for
from restore.service.dispatcher import Dispatcher
from restore.service.files import FileStore
from restore.service.ids import new_id
from restore.service.jobs import JobStore
from restore.service.local_worker import LocalWorker
from restore.service.records import Job, NewJob, Status
from restore.service.settings import Settings
from restore.service.worker_process import WorkerProcess, processes_of_session

pytestmark = [pytest.mark.timeout(600), pytest.mark.slow]

LONG_JOB = {"task": "upscale", "tile_size": 64}
LONG_SIDE_PX = 500


class Setup:
    """A worker with the embedded weights, and the jobs that it gets."""

    def __init__(self, folder: Path) -> None:
        settings = Settings(data=folder)
        self.jobs = JobStore(database.connect(settings), Changes())
        self.files = FileStore(self.jobs.engine, settings)
        self.worker = LocalWorker("worker-1")
        self.worker.environment = {
            "RESTORE_WEIGHTS": "lite",
            "RESTORE_PRELOAD": "none",
            "RESTORE_INPUT_FOLDERS": str(self.files.uploads),
        }

    def submit(self, side_px: int, **inputs: object) -> Job:
        photo = self.files.save_bytes(
            grey_jpeg(90, side_px), owner="", name="a.jpg", content_type="image/jpeg"
        )
        inputs["image"] = f"file:{photo.id}"
        return self.jobs.submit(NewJob(new_id(), "", "a/b", "1", inputs, ("a.jpg",)))

    async def until(self, job: Job, met: Callable[[Job], bool]) -> Job:
        found = await wait_for(self.jobs, self.jobs.changes, job.id, met, 240)
        assert found is not None
        assert met(found), found
        return found

    async def in_the_middle(self) -> Job:
        """Submit a long job, and return it when some tiles are done."""
        job = self.submit(LONG_SIDE_PX, **LONG_JOB)
        return await self.until(job, lambda job: "upscale: tiles" in job.logs)

    async def finish_a_short_job(self) -> None:
        job = self.submit(24, task="restore")
        found = await self.until(job, lambda job: job.status.is_final)
        assert found.status is Status.SUCCEEDED, found.error


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Setup], Awaitable[None]]], None]:
    """Return a function that runs a scenario with a worker."""

    async def with_worker(scenario: Callable[[Setup], Awaitable[None]]) -> None:
        setup = Setup(tmp_path)
        dispatcher = Dispatcher(setup.worker, setup.jobs, setup.files, "gateway")
        tasks = [asyncio.create_task(each.run()) for each in (setup.worker, dispatcher)]
        try:
            await scenario(setup)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            setup.worker.client.close()
            setup.jobs.engine.dispose()

    return lambda scenario: asyncio.run(with_worker(scenario))


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sessions of all servers that are started."""
    started: list[int] = []

    class Recorded(WorkerProcess):
        def __init__(self, environment: dict[str, str], predictor: str) -> None:
            super().__init__(environment, predictor)
            started.append(self._process.pid)

    monkeypatch.setattr(local_worker, "WorkerProcess", Recorded)
    return started


def processes_by_role(session: int) -> dict[str, int]:
    """Return the processes of a server: supervisor, server, worker and watchdog."""
    marks = {"supervisor": "supervisor", "cog_child": "server", "watchdog": "watchdog"}
    roles = {}
    for process in processes_of_session(session):
        command = Path(f"/proc/{process}/cmdline").read_text()
        role = next((role for mark, role in marks.items() if mark in command), "worker")
        roles[role] = process
    return roles


def test_job_shows_progress_and_is_cancelled_within_a_tile(
    run: Callable[..., None], sessions: list[int]
) -> None:
    async def scenario(setup: Setup) -> None:
        job = await setup.in_the_middle()
        progress = Prediction.Progress.parse(job.logs)
        assert progress is not None
        assert 0 < progress.current < progress.total
        await asyncio.to_thread(setup.jobs.cancel, job.id)
        async with asyncio.timeout(10):
            await setup.until(job, lambda job: job.status is Status.CANCELED)
        await setup.finish_a_short_job()
        assert len(sessions) == 1

    run(scenario)


@pytest.mark.parametrize("role", ["worker", "server", "supervisor"])
def test_job_survives_the_death_of_a_process(
    run: Callable[..., None], sessions: list[int], role: str
) -> None:
    async def scenario(setup: Setup) -> None:
        job = await setup.in_the_middle()
        os.kill(processes_by_role(sessions[0])[role], signal.SIGKILL)
        await setup.until(job, lambda job: job.failures == 1)
        again = await setup.until(job, lambda job: job.status is Status.PROCESSING)
        assert again.attempt == 2
        await asyncio.to_thread(setup.jobs.cancel, job.id)
        await setup.finish_a_short_job()
        assert len(sessions) == (2 if role == "supervisor" else 1)

    run(scenario)
    assert not any(processes_of_session(session) for session in sessions)


@pytest.mark.parametrize("role", ["server", "supervisor"])
def test_job_survives_a_process_that_hangs(
    run: Callable[..., None],
    sessions: list[int],
    role: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "SILENCE_LIMIT_S", 3.0)
    monkeypatch.setattr(worker_client, "SHORT_TIMEOUT_S", 3.0)

    async def scenario(setup: Setup) -> None:
        job = await setup.in_the_middle()
        os.kill(processes_by_role(sessions[0])[role], signal.SIGSTOP)
        await setup.until(job, lambda job: job.failures == 1)
        await asyncio.to_thread(setup.jobs.cancel, job.id)
        await setup.finish_a_short_job()
        assert len(sessions) == 2
        assert processes_of_session(sessions[0]) == []

    run(scenario)
