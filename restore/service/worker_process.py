"""The processes of a local worker: a server of `restore serve` in a session of its own."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from restore.serving import launcher
from restore.serving.cog_process import PREDICTOR
from restore.serving.served_results import delete_results_of_ended_processes

HOST = "127.0.0.1"
STOP_TIMEOUT_S = 10.0
KILL_TIMEOUT_S = 10.0
POLL_S = 0.02

log = logging.getLogger("restore.service.worker_process")


class WorkerProcess:
    """A server on a free port of 127.0.0.1. The methods block; call them from threads.

    It ends with this process, in whatever way this process ends.

    Args:
        environment: variables to set besides those of this process.
        predictor: as of `launcher.start`.

    Raises:
        RestoreError: SERVER if the server cannot be started.
    """

    def __init__(self, environment: Mapping[str, str], predictor: str = PREDICTOR) -> None:
        port = _free_port()
        self.url = f"http://{HOST}:{port}"
        self._process: subprocess.Popen[bytes] = launcher.start(
            HOST, port, environment, predictor=predictor
        )

    @property
    def has_ended(self) -> bool:
        """Whether the server's supervisor has ended."""
        # It is not reaped before `kill`: until then no other session can have its number.
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, flags) is not None

    def stop(self) -> None:
        """End the server after its running prediction, or kill it after STOP_TIMEOUT_S."""
        self._process.terminate()
        deadline_s = time.monotonic() + STOP_TIMEOUT_S
        while not self.has_ended and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
        self.kill()

    def kill(self) -> None:
        """Kill all processes of the server, even if they are stopped or hang."""
        session, deadline_s = self._process.pid, time.monotonic() + KILL_TIMEOUT_S
        while (processes := processes_of_session(session)) and time.monotonic() < deadline_s:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            time.sleep(POLL_S)
        if processes:
            log.error("the processes %s of a worker cannot be killed", processes)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_TIMEOUT_S)
        delete_results_of_ended_processes()


def processes_of_session(session: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    processes = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, process_session = path.read_text().rpartition(")")[2].split()[:4]
            if int(process_session) == session and state not in "ZX":
                processes.append(int(path.parent.name))
    return processes


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
