"""The process of Cog's HTTP server, which ends with the process that started it.

    python -m restore.serving.cog_child PARENT_PID --host 127.0.0.1

Imports the standard library and Cog only, because its memory is kept as long as the server runs.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
"""Option of Linux's prctl: the signal that a process gets when its parent ends."""


def main(arguments: Sequence[str]) -> None:
    """Run Cog's server in this process until it ends."""
    parent, *options = arguments
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(parent):  # it has ended already
        sys.exit(1)
    sys.argv = ["cog.server.http", *options]
    runpy.run_module("cog.server.http", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
