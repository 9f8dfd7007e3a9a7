"""Progress bars with the time left, on a terminal only."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class TerminalProgress(ABC):
    """Show bars on standard error inside a `with` block.

    Attributes:
        bars: None if standard error is not a terminal, or if `quiet` is set.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.bars = None if quiet or not sys.stderr.isatty() else self.new_bars()

    def __enter__(self) -> Self:
        if self.bars:
            self.bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.bars:
            self.bars.stop()

    @abstractmethod
    def new_bars(self) -> Progress:
        """Return the bars, without any yet; only called for a terminal, as Rich loads slowly."""


class ProgressBars(TerminalProgress):
    """Show one bar per kind of work; call it as `bars(what, done, total)`."""

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(quiet=quiet)
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        if not self.bars:
            return
        if what not in self._tasks:
            self._tasks[what] = self.bars.add_task(what, total=total)
        finished = done >= total
        self.bars.update(
            self._tasks[what], completed=done, total=total, visible=not finished or what == "photos"
        )

    def print(self, line: str) -> None:
        """Print a line of standard output above the bars."""
        if self.bars:
            self.bars.stop()
        print(line, flush=True)
        if self.bars:
            self.bars.start()

    def new_bars(self) -> Progress:
        """Return bars that vanish at the end."""
        from rich.console import Console  # noqa: PLC0415 - takes a while
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
