"""The command line: `restore photo.jpg`, one command per task, weights, server and demo."""

from __future__ import annotations

import signal
import sys
from types import FrameType

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells use it."""


def run() -> None:
    """Entry point of the console script; Ctrl-C is reported even while modules are imported.

    SIGTERM and SIGHUP end the process after its temporary files are deleted.
    """
    interrupts: list[int] = []

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        interrupts.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, on_interrupt)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, _end)
    try:
        from restore.cli.main import main  # noqa: PLC0415 - takes a while

        code = main(interrupts=interrupts)
    except BaseException as error:
        # Modules that are imported may turn the interrupt into another exception.
        if not interrupts or isinstance(error, SystemExit):
            raise
        print("interrupted", file=sys.stderr)
        code = INTERRUPTED
    sys.exit(code)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
