"""Tests of restore.service.worker, local_worker and workers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
from fakeworker import FakeCog

from restore.errors import Code, RestoreError
from restore.service import local_worker, worker, workers
from restore.service.local_worker import LocalWorker
from restore.service.settings import Settings
from restore.service.worker import Worker
from restore.service.worker_state import WorkerStatus
from restore.service.workers import Workers

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POLL_S", "WAIT_POLL_S", "FIRST_PAUSE_S"):
        monkeypatch.setattr(worker, name, 0.01)
    monkeypatch.setattr(local_worker, "FIRST_RESTART_PAUSE_S", 0.01)


@contextlib.asynccontextmanager
async def running(*watched: Worker) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(each.run()) for each in watched]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in watched:
            each.client.close()


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not met():
            await asyncio.sleep(0.005)


def has_status(worker: Worker, status: WorkerStatus) -> Callable[[], bool]:
    return lambda: worker.state.status is status


def test_health_of_a_remote_worker_is_followed() -> None:
    async def scenario() -> None:
        cog = FakeCog()
        cog.status = "STARTING"
        async with cog.serving() as url:
            watched = Worker("gpu1", url)
            async with running(watched):
                assert not watched._ready.is_set()
                for said, status in (
                    ("READY", WorkerStatus.READY),
                    ("BUSY", WorkerStatus.BUSY),
                    ("READY", WorkerStatus.READY),
                    ("STARTING", WorkerStatus.STARTING),
                    ("SETUP_FAILED", WorkerStatus.FAILED),
                    ("READY", WorkerStatus.READY),
                ):
                    cog.status = said
                    await until(has_status(watched, status))
                    assert watched._ready.is_set() is (said == "READY")
                    assert watched.state.reason == (
                        "SETUP_FAILED: why" if said == "SETUP_FAILED" else ""
                    )
                assert (watched.state.restarts, watched.state.url) == (1, url)

    asyncio.run(scenario())


def test_worker_that_is_not_there_is_unreachable_until_it_comes() -> None:
    async def scenario() -> None:
        cog = FakeCog()
        async with cog.serving() as url:
            pass
        watched = Worker("gpu1", url)
        async with running(watched):
            await until(has_status(watched, WorkerStatus.UNREACHABLE))
            assert watched.state.reason == "it does not answer"
            async with cog.serving() as url:
                watched.client.move(url)
                await until(has_status(watched, WorkerStatus.READY))

    asyncio.run(scenario())


def test_pauses_grow_while_a_worker_answers_health_checks_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "FIRST_PAUSE_S", 1.0)
    watched, slept = Worker("gpu1", "http://127.0.0.1:9"), list[float]()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def scenario() -> None:
        for _ in range(7):
            watched.doubt("it refuses requests")
            await watched.pause()
        watched.trust()
        watched.doubt("it refuses requests")
        await watched.pause()
        watched.client.close()

    monkeypatch.setattr(worker.asyncio, "sleep", sleep)
    asyncio.run(scenario())
    assert slept == [2.0, 4.0, 8.0, 15.0, 15.0, 15.0]


class FakeProcess:
    """Stands for the processes of a local worker."""

    started: list[FakeProcess]
    url: str

    def __init__(self, environment: Mapping[str, str], predictor: str) -> None:
        self.environment, self.ended = environment, ""
        self.has_ended = False
        self.started.append(self)

    def stop(self) -> None:
        self.ended = "stopped"

    def kill(self) -> None:
        self.ended = "killed"


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[FakeProcess]:
    FakeProcess.started = []
    monkeypatch.setattr(local_worker, "WorkerProcess", FakeProcess)
    return FakeProcess.started


@pytest.mark.parametrize("fault", ["end", "hang", "failed setup", "no answer", "slow setup"])
def test_local_worker_is_started_again(
    processes: list[FakeProcess], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SILENCE_LIMIT_S", 0.05)
    monkeypatch.setattr(local_worker, "FAILURE_LIMIT_S", 0.05)
    monkeypatch.setattr("restore.service.worker_client.SHORT_TIMEOUT_S", 0.05)

    async def scenario() -> None:
        cog = FakeCog()
        async with cog.serving() as FakeProcess.url:
            watched = LocalWorker("worker-1")
            async with running(watched):
                await until(has_status(watched, WorkerStatus.READY))
                if fault == "end":
                    processes[0].has_ended = True
                elif fault == "hang":
                    await watched.replace("it made no progress")
                elif fault == "failed setup":
                    cog.status = "SETUP_FAILED"
                elif fault == "no answer":
                    cog.status = None
                else:
                    monkeypatch.setattr(local_worker, "SETUP_LIMIT_S", 0.05)
                    cog.status = "STARTING"
                await until(lambda: len(processes) == 2)
                cog.status = "READY"
                monkeypatch.setattr(local_worker, "SETUP_LIMIT_S", 60.0)
                await until(has_status(watched, WorkerStatus.READY))
                assert watched.state.restarts >= 1
                assert processes[0].ended == "killed"
        assert processes[-1].ended == "stopped"

    asyncio.run(scenario())


def test_server_that_never_answers_is_given_time_to_start(
    processes: list[FakeProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SILENCE_LIMIT_S", 0.01)
    monkeypatch.setattr(local_worker, "START_LIMIT_S", 0.3)
    monkeypatch.setattr("restore.service.worker_client.SHORT_TIMEOUT_S", 0.02)

    async def scenario() -> None:
        cog = FakeCog()
        cog.status = None
        async with cog.serving() as FakeProcess.url, running(LocalWorker("worker-1")):
            await asyncio.sleep(0.15)
            assert [process.ended for process in processes] == [""]
            await until(lambda: len(processes) == 2)

    asyncio.run(scenario())


def test_start_that_fails_is_told_and_tried_again(
    processes: list[FakeProcess],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures: list[Exception] = [
        RestoreError(Code.SERVER, "the port is in use", "Choose another one."),
        BlockingIOError(11, "Resource temporarily unavailable"),
        FileNotFoundError(2, "No such file or directory", "/opt/python"),
    ]

    def start(environment: Mapping[str, str], predictor: str) -> FakeProcess:
        if failures:
            raise failures.pop()
        return FakeProcess(environment, predictor)

    monkeypatch.setattr(local_worker, "WorkerProcess", start)

    async def scenario() -> None:
        async with FakeCog().serving() as FakeProcess.url:
            watched = LocalWorker("worker-1")
            async with running(watched):
                await until(has_status(watched, WorkerStatus.READY))
                assert watched.state.restarts == 3

    asyncio.run(scenario())
    told = [message.partition("cannot be started: ")[2] for message in caplog.messages]
    assert [reason for reason in told if reason] == [
        "'/opt/python': no such file or directory",
        "resource temporarily unavailable",
        "[E504] the port is in use. Choose another one.",
    ]


def test_all_workers_are_run_with_their_environment(
    processes: list[FakeProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RUST_LOG", raising=False)
    monkeypatch.setattr(
        workers, "worker_environments", lambda count: [{"OMP_NUM_THREADS": "1"}] * count
    )

    async def scenario() -> None:
        async with FakeCog().serving() as url:
            FakeProcess.url = url
            settings = Settings(workers=2, worker_urls=(f"{url}/",), weights="lite")
            all_workers = Workers(settings, tmp_path / "a", tmp_path / "b")
            task = asyncio.create_task(all_workers.run())
            await until(
                lambda: all(each.status is WorkerStatus.READY for each in all_workers.list())
            )
            names = [state.name for state in all_workers.list()]
            assert names == ["worker-1", "worker-2", url.removeprefix("http://")]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    assert [process.ended for process in processes] == ["stopped"] * 2
    assert processes[0].environment == {
        "OMP_NUM_THREADS": "1",
        "RESTORE_INPUT_FOLDERS": f"{tmp_path}/a:{tmp_path}/b",
        "RESTORE_WEIGHTS": "lite",
        "RUST_LOG": "warn,coglet::setup=info,coglet::prediction=info",
    }


def test_settings_without_usable_workers_are_refused() -> None:
    data = Path("/data")
    for settings, folder, message in (
        (Settings(workers=0), data, "the service has no workers"),
        (
            Settings(worker_urls=("http://:80",)),
            data,
            "'http://:80' is not the address of a worker",
        ),
        (Settings(), Path("/data:1"), "the folder '/data:1' has ':' in its path"),
    ):
        with pytest.raises(RestoreError, match=message) as caught:
            Workers(settings, folder)
        assert caught.value.code is Code.OPTION_INVALID
    assert Workers(Settings(workers=0, database_url="postgresql://a/b")).list() == ()
