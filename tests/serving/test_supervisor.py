"""Tests of restore.serving.supervisor with processes that stand for Cog's server."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from restore.errors import RestoreError
from restore.serving import supervisor as module
from restore.serving.supervisor import Supervisor, listening


class FakeCogs:
    """Starts one process after the other, each with the next of `programs` as its code."""

    def __init__(self, programs: list[str]) -> None:
        self.programs, self.started = iter(programs), 0

    def start(self, port: int, predictor: str) -> subprocess.Popen[bytes]:
        self.started += 1
        command = [sys.executable, "-S", "-c", next(self.programs)]
        return subprocess.Popen(command, process_group=0)


WAIT = "import time; time.sleep(60)"
KILLED = "import os, time; time.sleep(0.4); os.kill(os.getpid(), 9)"

Run = Callable[..., tuple[int, FakeCogs]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a function that runs a supervisor with programs and statuses."""
    monkeypatch.setattr(module, "POLL_S", 0.02)
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(module, "delete_results_of_ended_processes", lambda: None)

    def run(
        programs: list[str], statuses: list[str], signals: tuple[int, ...] = ()
    ) -> tuple[int, FakeCogs]:
        cogs, said = FakeCogs(programs), iter(statuses)
        monkeypatch.setattr(module, "start_cog", cogs.start)
        monkeypatch.setattr(module, "health_status", lambda port: next(said, "READY"))
        supervisor = Supervisor("a:B")

        def send() -> None:
            if signals:
                time.sleep(1.0)  # until the program has started
            for number in signals:
                supervisor.on_signal(number, None)

        sender = threading.Thread(target=send)
        sender.start()
        code = supervisor.run()
        sender.join()
        assert supervisor.backend.port is None
        return code, cogs

    return run


def test_killed_server_is_started_again_until_it_ends_in_order(run: Run) -> None:
    code, cogs = run([KILLED, KILLED, "import time; time.sleep(0.4)"], [])
    assert (code, cogs.started) == (0, 3)


def test_server_whose_first_setup_dies_is_not_started_again(run: Run) -> None:
    code, cogs = run([KILLED], ["STARTING"] * 1000)
    assert (code, cogs.started) == (128 + signal.SIGKILL, 1)


def test_failed_setup_is_tried_again_after_a_restart_only(run: Run) -> None:
    statuses = ["READY", "SETUP_FAILED"]
    code, cogs = run([KILLED, WAIT, "import time; time.sleep(0.4)"], statuses)
    assert (code, cogs.started) == (0, 3)


def test_first_failed_setup_stays_until_a_signal(run: Run) -> None:
    code, cogs = run([WAIT], ["SETUP_FAILED"] * 1000, (signal.SIGTERM,))
    assert (code, cogs.started) == (128 + signal.SIGTERM, 1)


def test_server_at_work_is_stopped_when_it_is_idle(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also during an asynchronous prediction, which Cog would drop at SIGTERM."""
    statuses = ["READY", "BUSY", "BUSY", "READY"]
    asked = list[str]()

    def terminate(process: subprocess.Popen[bytes]) -> None:
        asked.append("")
        process.kill()

    def health_status(port: int) -> str:
        asked.append(statuses.pop(0))
        return asked[-1]

    monkeypatch.setattr(subprocess.Popen, "terminate", terminate)
    start = module.Supervisor._run_once

    def run_once(self: Supervisor) -> int:
        monkeypatch.setattr(module, "health_status", health_status)
        return start(self)

    monkeypatch.setattr(Supervisor, "_run_once", run_once)
    run([WAIT], [], (signal.SIGTERM,))
    assert asked == ["READY", "BUSY", "BUSY", "READY", ""]


def test_prediction_on_its_way_to_cog_is_waited_for() -> None:
    supervisor = Supervisor("a:B")
    supervisor.on_signal(signal.SIGTERM, None)
    assert supervisor.backend.is_stopping
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(module, "health_status", lambda port: "READY")
        assert not supervisor._is_busy(1)
        supervisor.backend.sending = 1
        assert supervisor._is_busy(1)


def test_second_signal_kills(run: Run) -> None:
    stubborn = f"import signal; signal.signal(15, signal.SIG_IGN); {WAIT}"
    code, cogs = run([stubborn], [], (signal.SIGTERM, signal.SIGTERM))
    assert (code, cogs.started) == (128 + signal.SIGKILL, 1)


def test_second_signal_kills_a_server_at_work(run: Run) -> None:
    statuses = ["READY", *["BUSY"] * 1000]
    code, cogs = run([WAIT], statuses, (signal.SIGTERM, signal.SIGINT))
    assert (code, cogs.started) == (128 + signal.SIGKILL, 1)


def test_pauses_double_up_to_a_limit_and_start_again_after_a_steady_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s, pauses, runs_s = 0.0, list[float](), iter([1.0] * 8 + [61.0])
    supervisor = Supervisor("a:B")
    supervisor._was_ready = True

    def run_once() -> int:
        nonlocal now_s
        run_s = next(runs_s, None)
        now_s += run_s or 0.0
        return 0 if run_s is None else 1

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now_s))
    monkeypatch.setattr(supervisor, "_run_once", run_once)
    monkeypatch.setattr(supervisor, "_sleep", pauses.append)
    assert supervisor.run() == 0
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 0.5]


def test_kill_ends_the_server_and_starts_no_other(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stubborn = f"import signal; signal.signal(15, signal.SIG_IGN); {WAIT}"
    monkeypatch.setattr(Supervisor, "on_signal", lambda self, *_: self.kill())
    code, cogs = run([stubborn], [], (signal.SIGTERM,))
    assert (code, cogs.started) == (128 + signal.SIGKILL, 1)


def test_port_in_use_is_named_once() -> None:
    with listening("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(RestoreError) as caught, listening("127.0.0.1", port):
            pass
    assert str(caught.value).startswith(
        f"[E504] the server cannot listen on 127.0.0.1 port {port} (address already in use). Stop"
    )
