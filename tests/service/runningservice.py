"""A real service with one worker and the embedded networks, started by its command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

API_KEY = "key of the tests"
START_TIMEOUT_S = 240.0
SETTINGS = {
    "API_KEY": API_KEY,
    "RESTORE_ALLOW": "addresses",  # webhooks and photos of this machine
    "RESTORE_PRELOAD": "none",  # each test needs few networks
    "RESTORE_WEIGHTS": "lite",
}


@dataclass(frozen=True)
class RunningService:
    """A service at work.

    Attributes:
        url: its address, without a slash at the end.
        data: its data folder.
        process: the gateway.
    """

    url: str
    data: Path
    process: subprocess.Popen[bytes]

    def get(self, path: str) -> httpx.Response:
        """Send a request with the API key."""
        headers = {"x-api-key": API_KEY}
        return httpx.get(f"{self.url}{path}", headers=headers, timeout=30, trust_env=False)


@contextmanager
def running(folder: Path) -> Iterator[RunningService]:
    """Run a service inside a `with` block, which begins when its worker is ready.

    Args:
        folder: for the data and the log.
    """
    log, data = folder / "log.txt", folder / "data"
    command = [sys.executable, "-m", "restore", "service", "--port", "0", "--data", str(data)]
    environment = {**os.environ, **SETTINGS}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        yield RunningService(_wait_until_ready(process, log), data, process)
    finally:
        process.kill()  # its worker notices it and ends, too; a regular stop takes seconds
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for the first worker, and return the address of the service."""
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline_s and process.poll() is None:
        lines = log.read_text().splitlines()
        addresses = [line.split()[4] for line in lines if line.startswith("Restore is ready on ")]
        if addresses and any(line.endswith("jobs are processed.") for line in lines):
            return addresses[0]
        time.sleep(0.05)
    raise AssertionError(f"the service did not start:\n{log.read_text()[-4000:]}")
