"""Decode or encode the photos of a request in several threads.

The libraries release Python's lock while they decode and encode, so threads are enough. Half of the
cores are used: with two threads on two busy cores, decoding took longer than with one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

MAX_THREADS = 4
"""As many as a request has photos."""


def map_in_threads(
    function: Callable[[ItemT], ResultT], items: Sequence[ItemT], *, together: bool = True
) -> list[ResultT]:
    """Call a function with each item, and return the results in the order of the items.

    Args:
        function: may raise; the error of the first failing item is raised here, after all calls
            that have started are done.
        items: what it is called with.
        together: False calls one after the other, for example if memory would not suffice.

    Raises:
        Exception: any error of the function.
    """
    threads = min(len(items), MAX_THREADS, (os.cpu_count() or 1) // 2)
    if threads < 2 or not together:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads, thread_name_prefix="photo") as pool:
        return list(pool.map(function, items))
