"""Progress bars with the time left, on a terminal only."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressBars:
    """Show one bar per kind of work; call it as `bars(what, done, total)`.

    Bars go to standard error and are hidden when that is not a terminal, or when `quiet` is set.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._progress = None if quiet or not sys.stderr.isatty() else _new_bars()
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ProgressBars:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._progress:
            self._progress.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        if not self._progress:
            return
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        finished = done >= total
        self._progress.update(
            self._tasks[what], completed=done, total=total, visible=not finished or what == "photos"
        )

    def print(self, line: str) -> None:
        """Print a line of standard output above the bars."""
        if self._progress:
            self._progress.stop()
        print(line, flush=True)
        if self._progress:
            self._progress.start()


def _new_bars() -> Progress:
    from rich.console import Console  # noqa: PLC0415 - takes a while, and only terminals need it
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
