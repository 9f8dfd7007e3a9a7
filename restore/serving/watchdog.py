"""The process that ends Cog's server when it can serve no more requests.

    python -m restore.serving.watchdog SERVER_PID WORKER_PID PORT

Cog's server does not replace a dead worker, and does not free its slot after a request whose folder
it cannot make. It then refuses every request forever. The worker starts this process, which watches
both and kills the server, so that its supervisor starts it again: `restore serve`, or the restart
policy of a container. The worker writes to the standard input of the
watchdog whether it works on a request.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from restore.serving.health import health_status

POLL_S = 2.0
DEATH_POLL_S = 0.5
MAX_STUCK_POLLS = 10
"""Successive polls, of POLL_S each, in which the server is busy while its worker is idle. Cog's own
work before and after a prediction takes a few seconds at most."""
MAX_STUCK_UPLOAD_POLLS = 300
"""The same for a server that uploads its results, which can be slow."""
UPLOAD_ARGUMENT = "--upload-url"
DEATH_POLLS = 4
"""Polls, of DEATH_POLL_S each, in which a server may end by itself after its worker."""

IDLE, WORKING = b"0", b"1"
BROKEN_STATUSES = frozenset({"UNHEALTHY", "DEFUNCT"})
"""Statuses that never end: the predictor has no health check of its own."""
FAILED_SETUP = "SETUP_FAILED"
"""The status of a server that stays alive to show why its setup failed."""


class Watchdog:
    """Watches a server and its worker.

    Args:
        server, worker: their process ids.
        port: the server's port on 127.0.0.1.
        signals: file descriptor that the worker writes IDLE and WORKING to.
    """

    def __init__(self, server: int, worker: int, port: int, signals: int) -> None:
        self.server, self.worker, self.port, self.signals = server, worker, port, signals
        uploads = UPLOAD_ARGUMENT in _arguments_of(server)
        self.max_stuck_polls = MAX_STUCK_UPLOAD_POLLS if uploads else MAX_STUCK_POLLS

    def run(self) -> str | None:
        """Watch until the server ends, or kill it; return why it was killed."""
        working, stuck_polls = False, 0
        while is_running(self.server):
            received = self._receive(POLL_S)
            if received == b"" or not is_running(self.worker):
                return self._after_the_worker()
            if received:
                working, stuck_polls = received[-1:] == WORKING, 0
                continue
            stuck = not working and health_status(self.port) in {"BUSY", *BROKEN_STATUSES}
            stuck_polls = stuck_polls + 1 if stuck else 0
            if stuck_polls >= self.max_stuck_polls:
                return self._kill("it was busy although its worker was idle")
        return None

    def _receive(self, timeout_s: float) -> bytes | None:
        """Return what the worker has written, None after a time without data, b"" at its end."""
        readable, _, _ = select.select([self.signals], [], [], timeout_s)
        return os.read(self.signals, 4096) if readable else None

    def _after_the_worker(self) -> str | None:
        """Kill the server if it continues without its worker."""
        for _ in range(DEATH_POLLS):
            if not is_running(self.server):
                return None
            time.sleep(DEATH_POLL_S)
        status = health_status(self.port)
        # A server that does not answer is ending: it stops listening first.
        if status is None or status == FAILED_SETUP:
            return None
        return self._kill("its worker has ended")

    def _kill(self, reason: str) -> str:
        # To the log of the server: Cog may not pass on what its worker's children write.
        with suppress(OSError), Path(f"/proc/{self.server}/fd/2").open("a") as server_log:
            server_log.write(f"ERROR the watchdog kills Cog's server: {reason}\n")
        # The kernel ignores SIGKILL for the first process of a container.
        os.kill(self.server, signal.SIGTERM if self.server == 1 else signal.SIGKILL)
        return reason


def is_running(process: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _arguments_of(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def main(server: str, worker: str, port: str) -> int:
    """Watch a server. Returns 0."""
    Watchdog(int(server), int(worker), int(port), sys.stdin.fileno()).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
