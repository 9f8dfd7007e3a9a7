"""Tests of restore.service.worker_process with a real Cog server without networks."""

import os
import signal
import subprocess
import sys
import time

import pytest
from places import PROJECT

from restore.service.worker_process import WorkerProcess, processes_of_session

pytestmark = pytest.mark.timeout(120)

QUICK_PREDICTOR = "tests/contract/quick.py:Predictor"
WORKER_PROCESSES = 4
"""Supervisor, Cog's server, worker and watchdog."""
GATEWAY = f"""
import sys, time
from restore.service.worker_process import WorkerProcess
process = WorkerProcess({{}}, "{QUICK_PREDICTOR}")
print(process._process.pid, flush=True)
time.sleep(100)
"""


def wait_for_processes(session: int, count: int) -> list[int]:
    deadline_s = time.monotonic() + 60
    while len(processes := processes_of_session(session)) != count:
        assert time.monotonic() < deadline_s, processes
        time.sleep(0.05)
    return processes


def test_no_process_survives_a_gateway_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", GATEWAY], stdout=subprocess.PIPE, cwd=PROJECT
    ) as gateway:
        assert gateway.stdout is not None
        session = int(gateway.stdout.readline())
        wait_for_processes(session, WORKER_PROCESSES)
        gateway.send_signal(signal.SIGKILL)
    wait_for_processes(session, 0)


@pytest.mark.slow
def test_kill_ends_all_processes_even_if_they_are_stopped() -> None:
    process = WorkerProcess({}, QUICK_PREDICTOR)
    session = process._process.pid
    assert not process.has_ended
    for each in wait_for_processes(session, WORKER_PROCESSES):
        os.kill(each, signal.SIGSTOP)
    process.kill()
    assert processes_of_session(session) == []
