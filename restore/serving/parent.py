"""The end of a process together with its parent, so that none is left behind."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

POLL_S = 0.1


def end_with_parent(clean_up: Callable[[], None], parent: int | None = None) -> None:
    """Clean up and end this process soon after its parent has ended, in whatever way.

    A worker that is in setup or in a prediction when Cog's server dies would otherwise run forever
    and keep its memory. (Linux can send a signal on the death of the parent, but also sends it when
    the parent's thread that started this process ends, and that may be a thread of a pool.)

    Args:
        clean_up: called before the end.
        parent: process id of the parent; None means that it has not ended yet.
    """
    parent = parent or os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        try:
            clean_up()
        finally:
            os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
