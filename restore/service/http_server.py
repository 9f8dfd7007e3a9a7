"""Running the service: its HTTP server, and the signals that stop it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import Any

import uvicorn

from restore.runtime.allocator import return_large_blocks
from restore.service.app import create_app
from restore.service.changes import MAX_POLL_S, Changes
from restore.service.connections import TimedProtocol
from restore.service.service import Service
from restore.service.settings import Settings
from restore.service.worker_state import WorkerState, WorkerStatus
from restore.serving.supervisor import listening
from restore.serving.uploads import allowed_sources

KEEP_ALIVE_S = 75
DRAIN_S = 10
"""Time in which responses are sent after the first signal to stop."""
LAST_WAIT_S = DRAIN_S - MAX_POLL_S - 1.0
"""Time after that signal at which clients that wait for a job are told that it has not ended."""
OPEN_FILES = 65_536
LARGE_BLOCK_BYTES = 2**20
"""Photos in JSON are held as blocks of this size and more, and only for a moment."""
INTERRUPTED = 130
READY_POLL_S = 0.2

Announce = Callable[[str], None]


class _Server(uvicorn.Server):
    """A server whose signals are handled by `_signals`."""

    def capture_signals(self) -> Any:  # noqa: ANN401 - uvicorn's own type
        return nullcontext()


def serve(settings: Settings, announce: Announce) -> int:
    """Run the service until SIGINT, SIGTERM or SIGHUP arrives.

    After the first signal, no connection is accepted, and responses are finished for DRAIN_S at
    most: as long, running jobs go on. Jobs that have not ended then return to the queue. A second
    signal ends the process at once, and its workers with it.

    Args:
        announce: called with a line of text when the service listens, and when it has workers.

    Returns:
        0, or 1 if the service has stopped because of an error.

    Raises:
        RestoreError: SERVER if the port is in use or the data cannot be used; UNAUTHORIZED or
            OPTION_INVALID as of `check_exposure`.
    """
    allowed_sources()  # a wrong value of RESTORE_ALLOW would fail each request
    _raise_open_files()
    return_large_blocks(LARGE_BLOCK_BYTES)
    with listening(settings.host, settings.port) as listener:
        port: int = listener.getsockname()[1]
        service = Service(settings.model_copy(update={"port": port}))
        server = _Server(
            uvicorn.Config(
                create_app(service),
                http=TimedProtocol,
                ws="none",
                lifespan="off",  # `_run` starts the service: its errors then have a code
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=DRAIN_S,
            )
        )
        with (
            _signals(server, service.changes),
            asyncio.Runner(loop_factory=new_event_loop) as runner,
        ):
            runner.run(_run(service, server, listener, announce))
    return 1 if service.has_failed else 0


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of uvloop, which takes less time per request, or of asyncio without it."""
    try:
        import uvloop  # noqa: PLC0415 - not available on every platform
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _run(
    service: Service, server: uvicorn.Server, listener: socket.socket, announce: Announce
) -> None:
    async with service.running():
        announce(f"Restore is ready on {address(service.settings)} (API: /docs). Ctrl-C stops it.")
        watching = asyncio.create_task(_announce_worker(service, announce))
        try:
            await server.serve(sockets=[listener])
        finally:
            watching.cancel()


async def _announce_worker(service: Service, announce: Announce) -> None:
    """Announce the first worker that can work; jobs wait until then."""
    while not (ready := [state.name for state in service.workers.list() if _can_work(state)]):
        await asyncio.sleep(READY_POLL_S)
    announce(f"{ready[0]} is ready: jobs are processed.")


def _can_work(state: WorkerState) -> bool:
    return state.status in {WorkerStatus.READY, WorkerStatus.BUSY}


def address(settings: Settings) -> str:
    """Return the address to open in a browser."""
    if settings.public_url:
        return settings.public_url
    # Nobody can open 0.0.0.0; the machine's own name for itself works everywhere on it.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


@contextmanager
def _signals(server: uvicorn.Server, changes: Changes) -> Iterator[None]:
    """Stop the server at the first signal inside a `with` block, and the process at the second."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        if server.should_exit:
            os._exit(INTERRUPTED)  # nothing is lost: the next start recovers the jobs
        server.should_exit = True
        changes.waits_end_s = time.monotonic() + LAST_WAIT_S

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _raise_open_files() -> None:
    """Let the process have as many connections and files as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # a container may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
