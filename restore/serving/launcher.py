"""Starting and stopping Cog's HTTP server without Docker."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

import requests

from restore.errors import Code, RestoreError
from restore.runtime.allocator import SERVER_ENVIRONMENT
from restore.serving.folder import PREDICTOR_FILE, PROJECT, server_folder
from restore.serving.generate_predict import write_predict
from restore.serving.schema import write_schema
from restore.serving.served_results import delete_results_of_ended_processes

PREDICTOR = f"{PREDICTOR_FILE}:Predictor"
POLL_S = 0.1
STOP_TIMEOUT_S = 20.0
WORKER_END_TIMEOUT_S = 2.0
LISTEN_TIMEOUT_S = 60.0
MAX_LOG_CHARACTERS = 500

log = logging.getLogger("restore.serving.launcher")


def start(
    host: str,
    port: int,
    environment: Mapping[str, str] | None = None,
    output: IO[bytes] | None = None,
    predictor: str = PREDICTOR,
) -> subprocess.Popen[bytes]:
    """Start Cog's server in a process group of its own, so that one signal reaches its worker too.

    Args:
        environment: variables to set besides those of this process.
        output: file for the server's log; None means the output of this process.
        predictor: `FILE:CLASS` relative to `server_folder()`; must take the inputs of predict.py.

    Raises:
        RestoreError: SERVER if the port is in use, or the server's folder is not writable.
    """
    _check_port_is_free(host, port)
    folder = server_folder()
    _write_files(folder)
    # Cog starts its worker as `python` from PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    env = {
        "LOG_FORMAT": "console",
        **SERVER_ENVIRONMENT,
        **os.environ,
        **(environment or {}),
        "PATH": path,
        "COG_PREDICT_TYPE_STUB": predictor,
        "PORT": str(port),
    }
    command = [sys.executable, "-m", "cog.server.http", "--host", host]
    return subprocess.Popen(
        command, cwd=folder, env=env, stdout=output, stderr=output, start_new_session=True
    )


def _check_port_is_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RestoreError(
                Code.SERVER,
                f"the server cannot listen on {host} port {port} ({error.strerror})",
                "Stop the program that uses the port, or choose another port.",
            ) from error


def _write_files(folder: Path) -> None:
    try:
        write_schema(folder)
        if folder != PROJECT:
            write_predict(folder)
    except OSError as error:
        raise RestoreError(
            Code.SERVER,
            f"the folder of the server, '{folder}', cannot be written to ({error.strerror})",
            "Make it writable; the environment variable XDG_CACHE_HOME selects another place.",
        ) from error


def stop(process: subprocess.Popen[bytes]) -> int:
    """Stop a server and its worker, after a running prediction has finished.

    Returns:
        Exit code of the server.
    """
    # Not its worker, which would end at once, in the middle of a prediction.
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        log.warning("the server did not stop within %.0f s: killing it", STOP_TIMEOUT_S)
    # The worker notices the end of the server, deletes its results and ends, even during setup.
    deadline_s = time.monotonic() + WORKER_END_TIMEOUT_S
    while time.monotonic() < deadline_s and _group_exists(process):
        time.sleep(POLL_S)
    _signal_group(process, signal.SIGKILL)
    delete_results_of_ended_processes()
    return process.wait()


def _group_exists(process: subprocess.Popen[bytes]) -> bool:
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


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


def serve(host: str, port: int, on_listening: Callable[[], None]) -> int:
    """Run the server in the foreground until it ends or SIGINT, SIGTERM or SIGHUP arrives.

    The first signal lets a running prediction finish; a second one kills the server.

    Args:
        on_listening: called once the server accepts connections.

    Returns:
        Exit code of the server.
    """
    processes: list[subprocess.Popen[bytes]] = []
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        for process in processes:
            if received:
                _signal_group(process, signal.SIGKILL)
            else:
                process.terminate()
        received.append(number)

    # The handlers are set before the start, so that no signal leaves a server without its parent.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    processes.append(start(host, port))
    if not received and _wait_until_listening(host, port, processes[0]):
        on_listening()
    if not received:
        processes[0].wait()
    return stop(processes[0])


def _wait_until_listening(host: str, port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server accepts connections; return False if it ends or takes too long."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    deadline_s = time.monotonic() + LISTEN_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline_s:
        with suppress(OSError), socket.create_connection((address, port), POLL_S):
            return True
        time.sleep(POLL_S)
    return False
