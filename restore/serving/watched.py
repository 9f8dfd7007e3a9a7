"""The worker's side of the watchdog: it starts the watchdog and tells it when it works."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from restore.serving.watchdog import IDLE, WORKING

DEFAULT_PORT = "5000"
"""The port of Cog's server if PORT is not set."""


class Watched:
    """Keeps a watchdog running for this process and its parent, Cog's server."""

    def __init__(self) -> None:
        self._server = os.getppid()
        self._watchdog = self._start()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Tell the watchdog that this process works on a request during a `with` block."""
        self._tell(WORKING)
        try:
            yield
        finally:
            self._tell(IDLE)

    def _start(self) -> subprocess.Popen[bytes]:
        port = os.environ.get("PORT", DEFAULT_PORT)
        arguments = [str(self._server), str(os.getpid()), port]
        watchdog = subprocess.Popen(
            [sys.executable, "-m", "restore.serving.watchdog", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert watchdog.stdin is not None
        os.set_blocking(watchdog.stdin.fileno(), False)
        return watchdog

    def _tell(self, state: bytes) -> None:
        try:
            self._write(state)
        except OSError:  # somebody has ended it
            self._watchdog.communicate()
            self._watchdog = self._start()
            self._write(state)

    def _write(self, state: bytes) -> None:
        assert self._watchdog.stdin is not None
        # The pipe is full if somebody has stopped the watchdog.
        with suppress(BlockingIOError):
            os.write(self._watchdog.stdin.fileno(), state)
