"""A service as a process, which a benchmark starts, kills and starts again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import requests

from benchmarks.memory import resident_mb
from restore.errors import Code, RestoreError
from restore.service.worker_process import processes_of_session

HOST = "127.0.0.1"
READY_TIMEOUT_S = 300.0
POLL_S = 0.1
LOG_TAIL_BYTES = 4000
SUPERVISOR = "restore.serving.supervisor"


class ServiceProcess:
    """A service with the embedded networks in a session of its own.

    Args:
        folder: for the data and the log.
        workers: number of workers, each with one thread.
        api_key: key of the benchmark itself.
        environment: further variables.

    Attributes:
        url: its address, which stays the same after a restart.
        data: its data folder.
    """

    def __init__(
        self, folder: Path, workers: int, api_key: str, environment: Mapping[str, str]
    ) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self._port = probe.getsockname()[1]
        self.url, self.data = f"http://{HOST}:{self._port}", folder / "data"
        self._folder, self._workers, self._api_key = folder, workers, api_key
        self._environment = {
            **os.environ,
            "API_KEY": api_key,
            "OMP_NUM_THREADS": "1",
            "RESTORE_WEIGHTS": "lite",
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the service, and return at once."""
        options = ["--port", str(self._port), "--data", str(self.data)]
        options += ["--workers", str(self._workers)]
        with (self._folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "restore", "service", *options],
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self) -> None:
        """Kill the gateway with SIGKILL; its workers notice it and end."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def wait_until_ready(self, workers: int | None = None) -> None:
        """Wait until workers are ready.

        Args:
            workers: how many; None means all.

        Raises:
            RestoreError: SERVER after READY_TIMEOUT_S.
        """
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while self.ready_workers() < (workers or self._workers):
            if time.monotonic() > deadline_s:
                raise RestoreError(
                    Code.SERVER,
                    f"the service was not ready within {READY_TIMEOUT_S:.0f} s:"
                    f" {self.log()[-LOG_TAIL_BYTES:]}",
                    "See its log.",
                )
            time.sleep(POLL_S)

    def ready_workers(self) -> int:
        """Return the number of workers that wait for a job; 0 if the gateway does not answer."""
        headers = {"x-api-key": self._api_key}
        try:
            health = requests.get(f"{self.url}/health", headers=headers, timeout=5).json()
        except (requests.RequestException, ValueError):
            return 0
        return sum(worker["status"] == "ready" for worker in health.get("workers", ()))

    def worker_sessions(self) -> dict[int, str]:
        """Return the session and the URL of each worker of the running gateway."""
        assert self._process is not None
        found: dict[int, str] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError, ValueError):
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                words = (folder / "cmdline").read_text().split("\0")
                if parent == self._process.pid and SUPERVISOR in words:
                    host, port = words[words.index(SUPERVISOR) + 1 :][:2]
                    found[int(folder.name)] = f"http://{host}:{port}"
        return dict(sorted(found.items()))

    def worker_processes(self) -> list[int]:
        """Return all processes of all workers: supervisors, Cog's servers and their workers."""
        return [pid for session in self.worker_sessions() for pid in processes_of_session(session)]

    def memory_mb(self) -> tuple[float, float]:
        """Return the anonymous memory of the gateway, and of its workers together."""
        assert self._process is not None
        return (
            resident_mb(self._process.pid),
            sum(resident_mb(session) for session in self.worker_sessions()),
        )

    def cpu_s(self) -> float:
        """Return the time of a core that the gateway has taken, without its workers."""
        assert self._process is not None
        words = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        """Return the log of all gateways and workers."""
        return (self._folder / "log.txt").read_text(errors="replace")


def kill_process(pid: int) -> bool:
    """Kill a process with SIGKILL; return whether it existed."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
