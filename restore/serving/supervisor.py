"""The process that runs the front and Cog's server, and starts Cog's server again when it ends.

python -m restore.serving.supervisor HOST PORT PREDICTOR PARENT_PID
"""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from restore.errors import Code, RestoreError, system_reason
from restore.serving.cog_connection import Backend
from restore.serving.cog_process import PREDICTOR, end_group, start_cog, write_server_files
from restore.serving.front import front_app
from restore.serving.health import HOST, health_status
from restore.serving.parent import end_with_parent
from restore.serving.served_results import delete_results_of_ended_processes

POLL_S = 0.2
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 30.0
"""Pauses before the server is started again; each is twice as long as the one before."""
STEADY_S = 60.0
"""Time after which a server counts as steady, so that the next pause is FIRST_PAUSE_S again."""
KEEP_ALIVE_S = 75
DRAIN_S = 10
"""Time in which responses are sent after Cog's server has ended."""

log = logging.getLogger("restore.serving.supervisor")


def serve(
    host: str,
    port: int,
    on_listening: Callable[[], None] = lambda: None,
    predictor: str = PREDICTOR,
    parent: int | None = None,
) -> int:
    """Run the server in the foreground until it ends or SIGINT, SIGTERM or SIGHUP arrives.

    The first signal lets a running prediction finish, an asynchronous one too, and refuses new
    ones; a second one kills the server.

    Args:
        on_listening: called once the server accepts connections.
        predictor: as in `start_cog`.
        parent: process id of the parent, if the server has to end with it.

    Returns:
        Exit code of the server.

    Raises:
        RestoreError: SERVER if the port is in use, or the server's folder is not writable.
    """
    supervisor = Supervisor(predictor)
    # The handlers are set before the start, so that no signal leaves a server without its parent.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, supervisor.on_signal)
    if parent is not None:
        end_with_parent(supervisor.kill, parent)
    with listening(host, port) as listener:
        write_server_files()
        with front_running(listener, supervisor.backend):
            on_listening()
            return supervisor.run()


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Listen on an address inside a `with` block.

    Raises:
        RestoreError: SERVER if the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # `create_server` adds the address to the reason.
        reason = system_reason(error).partition(" (while attempting")[0]
        raise RestoreError(
            Code.SERVER,
            f"the server cannot listen on {host} port {port} ({reason})",
            "Stop the program that uses the port, or choose another port.",
        ) from error
    with listener:
        # asyncio does not set this for a socket that it has not made: a response would take 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


@contextmanager
def front_running(listener: socket.socket, backend: Backend) -> Iterator[None]:
    """Run the front in a thread; send the responses that have begun before it ends."""
    import uvicorn  # noqa: PLC0415 - it is slow to import, and only servers need it

    server = uvicorn.Server(
        uvicorn.Config(
            front_app(backend),
            http="h11",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="front", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(DRAIN_S + 1)


class Supervisor:
    """Runs Cog's server, and starts it again if it ends by itself after it was ready.

    Args:
        predictor: as in `start_cog`.
    """

    def __init__(self, predictor: str) -> None:
        self.predictor = predictor
        self.backend = Backend()
        self._process: subprocess.Popen[bytes] | None = None
        self._signals: list[int] = []
        self._was_ready = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Stop the server after its running prediction; kill it at the second signal."""
        self._signals.append(number)
        self.backend.is_stopping = True
        if len(self._signals) > 1 and (process := self._process):
            process.kill()

    def kill(self) -> None:
        """Kill the server and its worker, and start no other one."""
        self._signals.append(signal.SIGKILL)
        if process := self._process:
            end_group(process)

    def run(self) -> int:
        """Run the server until it is stopped, or until its first setup fails with its process.

        Returns:
            Exit code of the server.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            started_s = time.monotonic()
            code = self._run_once()
            if self._signals or code == 0 or not self._was_ready:
                return code if code >= 0 else 128 - code
            if time.monotonic() - started_s > STEADY_S:
                pause_s = FIRST_PAUSE_S
            log.error(
                "Cog's server ended with exit code %d: starting it again in %.1f s", code, pause_s
            )
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _run_once(self) -> int:
        """Run Cog's server once; return its exit code, or 1 if its setup failed after a restart."""
        if self._signals:
            return 0
        port = _free_port()
        process = self._process = start_cog(port, self.predictor)
        self.backend.port = port
        try:
            if not self._wait_until_ready(process, port):
                return 1
            return self._wait(process, port)
        finally:
            self.backend.port = None
            end_group(process)
            delete_results_of_ended_processes()

    def _wait_until_ready(self, process: subprocess.Popen[bytes], port: int) -> bool:
        """Wait for the end of setup; return False if it failed and is to be tried again.

        A failed first setup stays as it is, so that GET /health-check shows its reason.
        """
        while process.poll() is None and not self._signals:
            status = health_status(port)
            if status == "SETUP_FAILED":
                return not self._was_ready
            if status in {"READY", "BUSY"}:
                self._was_ready = True
                return True
            time.sleep(POLL_S)
        return True

    def _wait(self, process: subprocess.Popen[bytes], port: int) -> int:
        """Wait until the server ends; after a signal, end it when it is idle.

        At SIGTERM, Cog itself would drop a prediction whose client does not wait for it.

        Returns:
            Its exit code.
        """
        while process.poll() is None:
            if len(self._signals) > 1:
                process.kill()  # it may have been started after the signals
            elif self._signals and not self._is_busy(port):
                process.terminate()
                return process.wait()
            time.sleep(POLL_S)
        return process.wait()

    def _is_busy(self, port: int) -> bool:
        """Return whether a prediction runs. No other one begins when `is_stopping` is set."""
        return self.backend.sending > 0 or health_status(port) == "BUSY"

    def _sleep(self, seconds: float) -> None:
        """Sleep until a signal arrives, at most for a time."""
        deadline_s = time.monotonic() + seconds
        while not self._signals and time.monotonic() < deadline_s:
            time.sleep(min(POLL_S, seconds))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def main(host: str, port: str, predictor: str, parent: str) -> int:
    """Run the server of `launcher.start`."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    # It logs every request that the front forwards.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return serve(host, int(port), predictor=predictor, parent=int(parent))
    except RestoreError as error:
        log.error("%s", error)  # noqa: TRY400 - the message says everything
        return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
