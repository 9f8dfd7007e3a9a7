"""Tests of dispatchers and attempts, with a server that speaks as Cog's does."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from fakeworker import (
    DEATHS,
    PNG,
    FakeCog,
    Request,
    data_uri,
    dies_while_working,
    says_that_its_process_crashed,
    succeeded,
)
from replicate.prediction import Prediction
from servicejobs import new_job
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from restore.service import attempt, attempt_watch, database, worker
from restore.service.changes import Changes, wait_for
from restore.service.dispatcher import Dispatcher, dispatch
from restore.service.files import FileStore
from restore.service.jobs import JobStore
from restore.service.records import Job, Status
from restore.service.settings import Settings
from restore.service.worker import Worker
from restore.service.workers import Workers

pytestmark = pytest.mark.timeout(60)

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


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that runs a scenario with a gateway."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(worker, "WAIT_POLL_S", 0.01)
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(attempt_watch, "POLL_S", 0.02)
    monkeypatch.setattr(attempt_watch, "RENEW_S", 0.04)

    async def with_gateway(scenario: Scenario, kind: type[Worker]) -> None:
        cog = FakeCog()
        async with cog.serving() as url, running(Gateway(tmp_path, cog, kind("w", url))) as gateway:
            await scenario(gateway)

    def run(scenario: Scenario, kind: type[Worker] = LocalWorker) -> None:
        asyncio.run(with_gateway(scenario, kind))

    return run


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


def test_results_reports_and_logs_are_stored(run: Callable[..., None]) -> None:
    async def scenario(gateway: Gateway) -> None:
        outputs = [data_uri(PNG), data_uri(b"{}", "application/json"), data_uri(b"m" * 3_000_000)]
        answer = 200, succeeded(*outputs)
        gateway.cog.behaviours.append(answers(*answer))
        job = await gateway.finished(gateway.submit(filenames=("tiny one.jpeg", "")))
        assert job.status is Status.SUCCEEDED
        assert (job.attempt, job.failures, job.worker) == (1, 0, "w")
        assert (job.predict_s, job.logs) == (0.25, "all done\n")
        assert job.reports == ({"photo": "tiny one.jpeg"},)
        assert job.output is not None
        files = [gateway.files.get(name.removeprefix("file:"), "") for name in job.output]
        assert [(file.name, file.content_type) for file in files if file] == [
            ("tiny one.png", "image/png"),
            ("photo-2.json", "application/json"),
            ("mask-1.png", "image/png"),
        ]
        stored = [gateway.files.read_bytes(file) for file in files if file]
        assert stored == [PNG, b"{}", b"m" * 3_000_000]

    run(scenario)


def answers(status: int, content: Any) -> Callable[[Request], Awaitable[tuple[int, Any]]]:
    async def behaviour(request: Request) -> tuple[int, Any]:
        return status, content

    return behaviour


def test_local_worker_gets_paths_and_another_one_data_uris(run: Callable[..., None]) -> None:
    sent: list[str] = []

    async def scenario(gateway: Gateway) -> None:
        job = await gateway.finished(gateway.submit())
        assert gateway.cog.ids == [f"{job.id}-1"]
        sent.append(gateway.cog.requests[0]["input"]["image"])
        assert gateway.cog.requests[0]["input"]["task"] == "upscale"

    run(scenario)
    assert Path(sent[0]).is_absolute()
    assert Path(sent[0]).read_bytes() == PHOTO
    run(scenario, Worker)
    assert sent[1] == f"data:image/jpeg;base64,{base64.b64encode(PHOTO).decode()}"


@pytest.mark.parametrize("death", DEATHS)
def test_job_survives_two_deaths_of_its_worker_at_each_stage(
    run: Callable[..., None], death: Callable[..., Any]
) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours += [death, death]
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt, job.failures) == (Status.SUCCEEDED, 3, 2)
        assert len(job.output or ()) == 1
        assert "Attempt 1 was lost" not in job.logs, "the logs are those of the last attempt"

    run(scenario)


def test_job_that_kills_its_worker_three_times_fails(run: Callable[..., None]) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours += [says_that_its_process_crashed, dies_while_working] * 2
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt) == (Status.FAILED, 3)
        assert job.error is not None
        assert job.error.startswith("[E606] ")

    run(scenario)


@pytest.mark.parametrize(
    "refusal",
    [
        (503, {"error": "Setup has not finished yet.", "status": "failed"}),
        (503, {"error": "[E504] the folder cannot be created", "status": "failed"}),
        (202, {"status": "processing"}),
    ],
)
def test_worker_that_is_not_available_costs_no_failure(
    run: Callable[..., None], refusal: tuple[int, Any]
) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours += [answers(*refusal)] * 3
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt, job.failures) == (Status.SUCCEEDED, 4, 0)

    run(scenario)


def test_server_that_is_busy_for_a_moment_is_asked_again(run: Callable[..., None]) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours += [answers(409, {"error": "At capacity"})] * 3
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt) == (Status.SUCCEEDED, 1)

    run(scenario)


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (
            200,
            {
                "error": "Prediction failed: Prediction failed: RestoreError: [E203] photo 'image':"
                " 60.0 megapixels, the limit is 50. Make the photo smaller.",
                "status": "failed",
            },
            "[E203] photo 'image': 60.0 megapixels, the limit is 50. Make the photo smaller.",
        ),
        (
            200,
            {"error": "Prediction failed: Prediction failed: KeyError: 'a'", "status": "failed"},
            "[E504] the worker failed: KeyError: 'a'. The log of the service has the details.",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "input", "scale"], "msg": "9 is greater than 8"}]},
            "[E102] the worker refuses the request: 9 is greater than 8. Check the inputs, and that"
            " worker and service have the same version of Restore.",
        ),
    ],
)
def test_error_of_the_worker_ends_the_job(
    run: Callable[..., None], status: int, content: Any, error: str
) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours.append(answers(status, content))
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt, job.error) == (Status.FAILED, 1, error)

    run(scenario)


@pytest.mark.parametrize("image", ["file:" + "a" * 26, "/etc/hostname", "data:,x", 3])
def test_photo_that_is_not_stored_for_the_owner_is_refused(
    run: Callable[..., None], image: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.service.job_files.link_inputs", lambda *_: None)

    async def scenario(gateway: Gateway) -> None:
        job = await gateway.finished(gateway.submit(input={"images": [image]}))
        assert job.error is not None
        assert job.error.startswith("[E201] ")
        assert gateway.cog.requests == []

    run(scenario)


def test_progress_appears_while_the_job_runs(run: Callable[..., None]) -> None:
    line = " 42%|####1     | 5/12 [00:03<00:04] upscale: tiles"

    async def scenario(gateway: Gateway) -> None:
        finish = asyncio.Event()

        async def behaviour(request: Request) -> tuple[int, Any]:
            gateway.cog.logs = f"begin\n{line}\nhalf a li"
            await asyncio.wait_for(finish.wait(), 10)
            return 200, {"error": "RestoreError: [E203] too large", "logs": "", "status": "failed"}

        gateway.cog.behaviours.append(behaviour)
        job = gateway.submit()
        running = await gateway.until(job, lambda job: job.logs != "")
        assert running.logs == f"begin\n{line}\n"
        assert Prediction.Progress.parse(running.logs).current == 5  # type: ignore[union-attr]
        gateway.cog.logs += "ne\nlast\n"
        finished_lines = f"begin\n{line}\nhalf a line\nlast\n"
        await gateway.until(job, lambda job: job.logs == finished_lines)
        finish.set()
        assert (await gateway.finished(job)).logs == finished_lines

    run(scenario)


def test_running_job_is_cancelled_at_once(run: Callable[..., None]) -> None:
    async def scenario(gateway: Gateway) -> None:
        async def behaviour(request: Request) -> tuple[int, Any]:
            await asyncio.wait_for(gateway.cog.cancellation.wait(), 10)
            return 200, {"logs": "", "metrics": {"predict_time": 1.0}, "status": "canceled"}

        gateway.cog.behaviours.append(behaviour)
        job = gateway.submit()
        await gateway.until(job, lambda job: job.status is Status.PROCESSING)
        await asyncio.sleep(0.1)
        await asyncio.to_thread(gateway.jobs.cancel, job.id)
        assert (await gateway.finished(job)).status is Status.CANCELED
        assert gateway.cog.cancelled == [f"{job.id}-1"]

    run(scenario)


def test_cancellation_ends_also_if_the_worker_does_not_stop(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_watch, "CANCEL_LIMIT_S", 0.1)

    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours.append(hangs)
        job = gateway.submit()
        await gateway.until(job, lambda job: job.status is Status.PROCESSING)
        await asyncio.to_thread(gateway.jobs.cancel, job.id)
        assert (await gateway.finished(job)).status is Status.CANCELED

    run(scenario)


async def hangs(request: Request) -> None:
    await request.body()
    await asyncio.sleep(3600)


def test_prediction_without_progress_is_given_up(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_watch, "STALL_LIMIT_S", 0.2)

    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours.append(hangs)
        replaced = []
        replace = gateway.worker.replace

        async def record(reason: str) -> None:
            replaced.append(reason)
            await replace(reason)

        gateway.worker.replace = record  # type: ignore[method-assign]
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt, job.failures) == (Status.SUCCEEDED, 2, 1)
        assert replaced == ["it made no progress for 0 s"]

    run(scenario)


def test_worker_that_does_not_answer_loses_its_job(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SILENCE_LIMIT_S", 0.2)
    monkeypatch.setattr(worker, "POLL_S", 0.05)
    monkeypatch.setattr("restore.service.worker_client.SHORT_TIMEOUT_S", 0.05)

    async def scenario(gateway: Gateway) -> None:
        async def behaviour(request: Request) -> None:
            gateway.cog.status = None
            await hangs(request)

        gateway.cog.behaviours.append(behaviour)
        job = gateway.submit()
        await gateway.until(job, lambda job: job.failures == 1)
        gateway.cog.status = "READY"
        job = await gateway.finished(job)
        assert (job.status, job.attempt) == (Status.SUCCEEDED, 2)

    run(scenario)


def test_result_of_a_lost_claim_does_not_count(run: Callable[..., None]) -> None:
    async def scenario(gateway: Gateway) -> None:
        started = asyncio.Event()

        async def behaviour(request: Request) -> tuple[int, Any]:
            started.set()
            await asyncio.sleep(0.3)
            return 200, succeeded()

        gateway.cog.behaviours.append(behaviour)
        job = gateway.submit()
        await asyncio.wait_for(started.wait(), 10)
        await asyncio.to_thread(
            gateway.jobs.release, job.id, 1, worker_died=False, error="another gateway took it"
        )
        found = await gateway.finished(job)
        assert (found.status, found.attempt) == (Status.SUCCEEDED, 2)
        await asyncio.sleep(0.4)
        assert len(gateway.ends) == 1

    run(scenario)


def test_job_returns_to_the_queue_when_the_gateway_stops(
    tmp_path: Path, run: Callable[..., None]
) -> None:
    kept: list[Gateway] = []

    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours.append(hangs)
        job = gateway.submit()
        await gateway.until(job, lambda job: job.status is Status.PROCESSING)
        await asyncio.sleep(0.05)
        kept.append(gateway)

    run(scenario)
    engine = database.connect(Settings(data=tmp_path))
    [job] = JobStore(engine).list(None, limit=10).jobs
    engine.dispose()
    assert (job.status, job.attempt, job.failures) == (Status.STARTING, 1, 0)
    assert "the gateway was stopped" in job.logs


def test_error_of_the_database_does_not_stop_a_prediction(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(gateway: Gateway) -> None:
        failed = asyncio.Event()

        async def behaviour(request: Request) -> tuple[int, Any]:
            await asyncio.wait_for(failed.wait(), 10)
            await asyncio.sleep(0.1)
            return 200, succeeded()

        loop = asyncio.get_running_loop()

        def fail(*args: Any) -> None:
            loop.call_soon_threadsafe(failed.set)
            raise OperationalError("UPDATE", {}, ConnectionError("gone"))

        gateway.cog.behaviours.append(behaviour)
        monkeypatch.setattr(gateway.jobs, "renew", fail)
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt) == (Status.SUCCEEDED, 1)

    run(scenario)


def test_end_of_a_job_is_written_again_after_an_error_of_the_database(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "DATABASE_PAUSES_S", (0.01, 0.01))

    async def scenario(gateway: Gateway) -> None:
        succeed, errors = gateway.jobs.succeed, [1, 2]

        def fail_twice(*args: Any, **kwargs: Any) -> bool:
            if errors and errors.pop():
                raise OperationalError("UPDATE", {}, ConnectionError("gone"))
            return succeed(*args, **kwargs)

        monkeypatch.setattr(gateway.jobs, "succeed", fail_twice)
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt) == (Status.SUCCEEDED, 1)

    run(scenario)


def test_disk_without_space_fails_the_job_with_a_code(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.files.results.rmdir()  # so that a large result cannot be written
        gateway.cog.behaviours.append(answers(200, succeeded(data_uri(b"m" * 3_000_000))))
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.error or "") != (Status.SUCCEEDED, "")
        assert (job.error or "").startswith("[E605] ")

    run(scenario)


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
