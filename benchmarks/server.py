"""A Cog server of this project, started with the settings of a benchmark."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.inputs import Json
from restore.errors import RestoreError
from restore.options import PIPELINE_TASK
from restore.serving.launcher import running

READY_TIMEOUT_S = 1800.0
"""Official weights may have to be downloaded and compiled before the server is ready."""
LOG_TAIL_BYTES = 2000


@dataclass(frozen=True)
class Setting:
    """The environment of a server and the inputs of its requests.

    Inputs that have their default value are not sent, so that servers without them can be measured.
    """

    task: str
    profile: str = "baseline"
    stability_mode: str = "safe"
    compile_backend: str = "none"
    weights: str = "lite"
    extra: Mapping[str, object] = field(default_factory=dict)

    def inputs(self) -> Json:
        """Return the inputs of a request, without its photos."""
        inputs: Json = {**self.extra, "task": self.task, "runtime_profile": self.profile}
        if self.stability_mode != "safe":
            inputs["stability_mode"] = self.stability_mode
        if self.compile_backend != "none":
            inputs["compile_backend"] = self.compile_backend
        return inputs

    def environment(self) -> dict[str, str]:
        """Return the environment variables of the server.

        The server preloads the networks of the task unless RESTORE_PRELOAD is set already.
        """
        steps = str(self.extra.get("steps", "auto"))
        preload = self.task if self.task != PIPELINE_TASK else "all" if steps == "auto" else steps
        # An empty value overrides a backend that is set in the environment of the benchmark. The
        # value `none` makes the optimized copies before the server is ready.
        backend = self.compile_backend if self.stability_mode == "optimized" else ""
        return {
            "RESTORE_WEIGHTS": self.weights,
            "RESTORE_PRELOAD": os.environ.get("RESTORE_PRELOAD", "").strip() or preload,
            "RESTORE_COMPILE_BACKEND": backend,
        }


@contextmanager
def served(port: int, environment: Mapping[str, str]) -> Iterator[str]:
    """Run a server inside a `with` block and yield its base URL.

    SIGTERM and SIGHUP end the block with SystemExit, so that the server is stopped too. If the
    server fails to start, the end of its log is written to stderr.

    Raises:
        RestoreError: SERVER if the port is in use or setup fails.
    """
    numbers = (signal.SIGTERM, signal.SIGHUP)
    previous_handlers = [
        signal.signal(number, lambda received, frame: sys.exit(128 + received))
        for number in numbers
    ]
    with tempfile.TemporaryFile() as log:
        try:
            with running(port, environment, READY_TIMEOUT_S, log) as url:
                yield url
        except RestoreError:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            sys.stderr.write(log.read().decode(errors="replace"))
            raise
        finally:
            for number, handler in zip(numbers, previous_handlers, strict=True):
                signal.signal(number, handler)
