"""The type of the progress callback, shared by downloads, models and pipelines."""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction

from restore.options.base import value_error

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total) while a request runs or a file is downloaded."""


def no_progress(what: str, done: int, total: int) -> None:
    """Ignore progress: the default where the caller passes no callback."""


def progress_of(callback: Progress | None) -> Progress:
    """Return the callback of a caller; None means that there is none.

    Raises:
        RestoreError: OPTION_INVALID for what cannot be called, and an asynchronous function.
    """
    if callback is None:
        return no_progress
    if not callable(callback) or iscoroutinefunction(callback):
        raise value_error("progress", callback, "a function that is called as (what, done, total)")
    return callback


def of_step(progress: Progress, step: str) -> Progress:
    """Return a callback that names the step before its work, as in `upscale: tiles`.

    `photos` stays as it is: it counts the photos of the request.
    """

    def report(what: str, done: int, total: int) -> None:
        progress(what if what == "photos" else f"{step}: {what}", done, total)

    return report
