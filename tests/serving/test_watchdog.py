"""Tests of restore.serving.watchdog and watched, with processes that stand for Cog's."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from restore.serving import watchdog, watched
from restore.serving.watchdog import IDLE, WORKING, Watchdog, is_running
from restore.serving.watched import Watched

Sleeper = subprocess.Popen[bytes]


@pytest.fixture
def sleeper() -> Iterator[Callable[..., Sleeper]]:
    """Return a function that starts a process which does nothing, and waits until it runs.

    Linux shows the arguments of a process only some time after `Popen` has returned.
    """
    started: list[Sleeper] = []

    def start(*arguments: str) -> Sleeper:
        program = "import time; print('started', flush=True); time.sleep(60)"
        command = [sys.executable, "-c", program, *arguments]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        assert started[-1].stdout is not None
        assert started[-1].stdout.readline() == b"started\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


class Setting:
    """A watchdog with its processes; `status` is what the server says."""

    def __init__(self, sleeper: Callable[..., Sleeper], *arguments: str) -> None:
        self.server, self.worker, self.status = sleeper(*arguments), sleeper(), "READY"
        readable, self.pipe = os.pipe()
        self.watchdog = Watchdog(self.server.pid, self.worker.pid, 1, readable)
        self.reasons: list[str | None] = []
        self.thread = threading.Thread(target=lambda: self.reasons.append(self.watchdog.run()))

    def reason(self, timeout_s: float = 10.0) -> str | None:
        self.thread.join(timeout_s)
        assert not self.thread.is_alive(), "the watchdog still watches"
        return self.reasons[0]


@pytest.fixture
def setting(sleeper: Callable[..., Sleeper], monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    monkeypatch.setattr(watchdog, "POLL_S", 0.02)
    monkeypatch.setattr(watchdog, "DEATH_POLL_S", 0.02)
    setting = Setting(sleeper)
    monkeypatch.setattr(watchdog, "health_status", lambda port: setting.status)
    setting.thread.start()
    yield setting
    setting.server.kill()
    setting.server.wait()
    setting.thread.join(10)


def test_dead_worker_ends_the_server(setting: Setting) -> None:
    setting.status = "UNHEALTHY"
    setting.worker.kill()  # the pipe stays open, as in a child of the worker
    assert setting.reason() == "its worker has ended"
    assert setting.server.wait(5) == -9


@pytest.mark.parametrize("status", ["SETUP_FAILED", None])
def test_server_that_reports_a_failed_setup_or_ends_is_left_alone(
    setting: Setting, status: str
) -> None:
    setting.status = status
    setting.worker.kill()
    assert setting.reason() is None
    assert setting.server.poll() is None


@pytest.mark.parametrize("status", ["BUSY", "UNHEALTHY"])
def test_busy_server_with_an_idle_worker_is_ended(setting: Setting, status: str) -> None:
    os.write(setting.pipe, WORKING + IDLE)
    setting.status = status
    assert setting.reason() == "it was busy although its worker was idle"
    assert setting.server.wait(5) == -9


def test_working_worker_is_left_alone(setting: Setting) -> None:
    os.write(setting.pipe, WORKING)
    time.sleep(0.1)
    setting.status = "BUSY"
    time.sleep(watchdog.MAX_STUCK_POLLS * 0.02 * 4)
    assert setting.thread.is_alive()
    os.write(setting.pipe, IDLE)
    assert setting.reason() is not None


def test_short_work_of_the_server_itself_is_left_alone(setting: Setting) -> None:
    for _ in range(6):
        setting.status = "BUSY"
        time.sleep(watchdog.MAX_STUCK_POLLS * 0.02 / 4)
        setting.status = "READY"
        time.sleep(0.06)
    assert setting.thread.is_alive()


def test_watchdog_ends_with_the_server(setting: Setting) -> None:
    setting.server.kill()
    setting.server.wait()
    assert setting.reason() is None


def test_slow_uploads_are_waited_for(sleeper: Callable[..., Sleeper]) -> None:
    uploads = Setting(sleeper, "--upload-url", "http://127.0.0.1:1")
    assert uploads.watchdog.max_stuck_polls > 10 * watchdog.MAX_STUCK_POLLS


def test_leaked_slot_is_noticed_within_30_s_and_a_dead_worker_within_5_s() -> None:
    assert watchdog.POLL_S * (watchdog.MAX_STUCK_POLLS + 1) < 25
    assert watchdog.POLL_S + watchdog.DEATH_POLL_S * watchdog.DEATH_POLLS < 5


def test_worker_tells_the_watchdog_when_it_works_and_replaces_a_dead_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    echo = "import sys; [print(c, flush=True) for c in iter(lambda: sys.stdin.read(1), '')]"
    popen = subprocess.Popen
    monkeypatch.setattr(
        watched.subprocess,
        "Popen",
        lambda command, **options: popen(
            [sys.executable, "-c", echo], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ),
    )
    worker = Watched()
    first = worker._watchdog
    assert first.stdout is not None
    with worker.working():
        assert first.stdout.readline() == b"1\n"
    assert first.stdout.readline() == b"0\n"
    first.kill()
    first.wait()
    with worker.working():
        second = worker._watchdog
        assert second is not first
        assert second.stdout is not None
        assert second.stdout.readline() == b"1\n"
    worker._watchdog.communicate()


def test_zombie_and_missing_process_do_not_run(sleeper: Callable[..., Sleeper]) -> None:
    process = sleeper()
    assert is_running(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # a zombie until wait()
    assert not is_running(process.pid)
    process.wait()
    assert not is_running(process.pid)
