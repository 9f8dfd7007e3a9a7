"""Starting and stopping the server of `restore serve` as a process of its own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

import requests

from restore.errors import Code, RestoreError
from restore.serving.cog_process import PREDICTOR, WORKER_END_TIMEOUT_S, write_server_files
from restore.serving.folder import server_folder
from restore.serving.served_results import delete_results_of_ended_processes
from restore.serving.supervisor import listening

POLL_S = 0.1
STOP_TIMEOUT_S = 20.0
MAX_LOG_CHARACTERS = 500

log = logging.getLogger("restore.serving.launcher")


def start(
    host: str,
    port: int,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
    predictor: str = PREDICTOR,
) -> subprocess.Popen[bytes]:
    """Start a server, with all its processes in one session. They end with this process.

    Args:
        environment: variables to set besides those of this process.
        output: file for the server's log; None means the output of this process.
        predictor: `FILE:CLASS` relative to `server_folder()`; must take the inputs of predict.py.

    Raises:
        RestoreError: SERVER if the port is in use, or the server's folder is not writable.
    """
    with listening(host, port):
        write_server_files()
    arguments = [host, str(port), predictor, str(os.getpid())]
    return subprocess.Popen(
        [sys.executable, "-m", "restore.serving.supervisor", *arguments],
        cwd=server_folder(),
        env={**os.environ, **(environment or {})},
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes]) -> int:
    """Stop a server and its worker, after a running prediction has finished.

    Returns:
        Exit code of the server.
    """
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        log.warning("the server did not stop within %.0f s: killing it", STOP_TIMEOUT_S)
        process.kill()  # Cog's server and its worker notice it
        time.sleep(WORKER_END_TIMEOUT_S)
    delete_results_of_ended_processes()
    return process.wait()


def wait_until_ready(url: str, process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Wait until the setup of a server has succeeded.

    Raises:
        RestoreError: SERVER if setup fails, the process ends, or `timeout_s` passes.
    """
    deadline_s = time.monotonic() + timeout_s
    with requests.Session() as session:
        session.trust_env = False  # a proxy cannot reach the loopback address of this machine
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                raise _server_error(f"the server ended with exit code {process.returncode}")
            try:
                health = session.get(f"{url}/health-check", timeout=5).json()
            except requests.RequestException:
                health = {}
            if health.get("status") == "READY":
                return
            if health.get("status") == "SETUP_FAILED":
                logs = health["setup"].get("logs", "")[-MAX_LOG_CHARACTERS:].strip()
                raise _server_error(f"setup failed: {logs}")
            time.sleep(POLL_S)
    raise _server_error(f"the server was not ready within {timeout_s:.0f} s")


def _server_error(reason: str) -> RestoreError:
    return RestoreError(Code.SERVER, reason, "See the server's log for details.")


@contextmanager
def running(
    port: int,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 300.0,
    output: IO[bytes] | None = None,
    predictor: str = PREDICTOR,
) -> Iterator[str]:
    """Run a server on 127.0.0.1 inside a `with` block, and yield its base URL once it is ready.

    Args:
        timeout_s: limit for the server's setup.
        environment, output, predictor: as in `start`.
    """
    process = start("127.0.0.1", port, environment, output, predictor)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process, timeout_s)
        yield url
    finally:
        stop(process)
