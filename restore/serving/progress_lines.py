"""The progress of a request as lines in its logs, in the format of tqdm.

Replicate's clients read the last such line: ` 42%|####1     | 5/12 [00:03<00:04] upscale: tiles`.
The name stands at the end of the line, because they accept a percentage at its start only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

MIN_INTERVAL_S = 0.3
"""Time between two lines."""
LINE = "{percentage:3.0f}%|{bar:10}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}] {desc}"
ALL_WORK = "photos"
"""The work whose end is the end of the request; its last line is always printed."""


class ProgressLines:
    """Prints one line for a part of the work of a request; call it as `lines(what, done, total)`.

    Nothing is printed outside of a request: the lines of the setup would be of no use to anyone.
    """

    def __init__(self) -> None:
        self._active = False
        self._started_s: dict[str, float] = {}
        self._printed_s = 0.0

    @contextmanager
    def request(self) -> Iterator[None]:
        """Print lines inside a `with` block; their times count from its start."""
        self._active, self._started_s, self._printed_s = True, {}, -MIN_INTERVAL_S
        try:
            yield
        finally:
            self._active = False

    def __call__(self, what: str, done: int, total: int) -> None:
        """Print a line, unless the last one was printed a moment ago.

        Args:
            what: name of the work.
            done: finished parts.
            total: all parts, or 0 if their number is not known; then nothing is printed.
        """
        if not self._active or total <= 0:
            return
        now_s = time.monotonic()
        started_s = self._started_s.setdefault(what, now_s)
        is_end = what == ALL_WORK and done >= total
        if now_s - self._printed_s < MIN_INTERVAL_S and not is_end:
            return
        self._printed_s = now_s
        line = tqdm.format_meter(
            min(done, total), total, now_s - started_s, ascii=True, prefix=what, bar_format=LINE
        )
        print(line, flush=True)  # noqa: T201 - Cog adds it to the logs of the prediction
