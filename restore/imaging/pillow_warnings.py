"""Collects the warnings that Pillow gives in one thread.

`warnings.catch_warnings` changes settings of the whole process, so that two threads that decode
photos would restore each other's settings, and take each other's warnings for their own.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


class _Collector(threading.local):
    """The list to which warnings of a thread are added; None outside of a block."""

    texts: list[str] | None = None


class _Settings:
    """Replaces the process's handling of warnings while any thread is in a block."""

    def __init__(self) -> None:
        self.collector = _Collector()
        self._lock = threading.Lock()
        self._replaced = ExitStack()
        self._blocks = 0

    def enter(self) -> None:
        with self._lock:
            if not self._blocks:
                self._replaced.enter_context(warnings.catch_warnings())
                warnings.simplefilter("always")
                warnings.showwarning = self._dispatch_to(warnings.showwarning)
            self._blocks += 1

    def leave(self) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                self._replaced.close()

    def _dispatch_to(self, show: Callable[..., None]) -> Callable[..., None]:
        def dispatch(message: Warning | str, *args: Any, **options: Any) -> None:  # noqa: ANN401
            if self.collector.texts is None:
                show(message, *args, **options)
            else:
                self.collector.texts.append(str(message))

        return dispatch


_SETTINGS = _Settings()


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Collect the texts of all warnings of this thread in the block; none is shown or raised."""
    texts: list[str] = []
    outer = _SETTINGS.collector.texts
    _SETTINGS.enter()
    _SETTINGS.collector.texts = texts
    try:
        yield texts
    finally:
        _SETTINGS.collector.texts = outer
        _SETTINGS.leave()
