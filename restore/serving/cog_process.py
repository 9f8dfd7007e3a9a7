"""Starting and ending the process of Cog's HTTP server (`cog_child`), and the files it needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from restore.runtime.allocator import SERVER_ENVIRONMENT
from restore.serving.folder import PREDICTOR_FILE, PROJECT, explained_failure, server_folder
from restore.serving.generate_predict import write_predict
from restore.serving.health import HOST
from restore.serving.schema import write_schema

SERVER_MODULE = "restore.serving.cog_child"
PREDICTOR = f"{PREDICTOR_FILE}:Predictor"
POLL_S = 0.05
WORKER_END_TIMEOUT_S = 2.0


def write_server_files() -> None:
    """Write predict.py and the schema into the folder of the server.

    Raises:
        RestoreError: SERVER if the folder is not writable.
    """
    folder = server_folder()
    write_schema(folder)
    if folder != PROJECT:
        with explained_failure(folder):
            write_predict(folder)


def start_cog(port: int, predictor: str = PREDICTOR) -> subprocess.Popen[bytes]:
    """Start Cog's server on 127.0.0.1, in a process group of its own with its worker.

    The main thread must call this: the server ends when the thread that started it ends.

    Args:
        predictor: `FILE:CLASS` relative to `server_folder()`; must take the inputs of predict.py.
    """
    # Cog starts its worker as `python` from PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {
        "LOG_FORMAT": "console",
        **SERVER_ENVIRONMENT,
        **os.environ,
        "PATH": path,
        "COG_PREDICT_TYPE_STUB": predictor,
        "PORT": str(port),
    }
    command = [sys.executable, "-m", SERVER_MODULE, str(os.getpid()), "--host", HOST]
    return subprocess.Popen(command, cwd=server_folder(), env=environment, process_group=0)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a server, and its worker unless it ends by itself.

    The worker notices the end of the server and deletes its results, even during setup.
    """
    process.kill()
    process.wait()
    deadline_s = time.monotonic() + WORKER_END_TIMEOUT_S
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline_s:
            os.killpg(process.pid, 0)
            time.sleep(POLL_S)
        os.killpg(process.pid, signal.SIGKILL)
