"""What the C library does with memory that is freed: while a request computes on a CPU, it keeps it for what is allocated next.

By default glibc gives every large block back to the system at once. A network asks for one a layer, and each comes back as pages
that the system must find and fill with zeros first: a third of CodeFormer's time on a small machine, measured.
"""

from __future__ import annotations

import ctypes
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import MappingProxyType

SERVER_ENVIRONMENT = MappingProxyType(
    {
        # One heap for all threads, so that the worker's can keep what is freed.
        "MALLOC_ARENA_MAX": "1",
        # torch and oneDNN keep 20 to 40 kB for each size of picture that a convolution has met, a thousand of them: memory grows for hours.
        "LRU_CACHE_CAPACITY": "128",
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
    }
)
"""What a server's process is to start with, as cog.yaml says too; with 64 sizes requests are slower, with 128 as fast as with 1024."""

# mallopt's parameters, as malloc.h numbers them.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4
KEPT = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 << 20}
USUAL = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 << 20, TRIM_THRESHOLD: 64 << 20, TOP_PAD: 128 << 10}
"""Where glibc itself arrives in a process that has used large blocks."""
LEFT_BYTES = 32 << 20
"""What may stay with the process between requests, beyond what it held when it last gave memory back.

More gained nothing that could be measured with the lite networks: the next request finds each page once, not once a layer.
"""


@cache
def _library() -> ctypes.CDLL | None:
    """The C library, if it is glibc."""
    library = ctypes.CDLL(None)
    try:
        library.mallopt.argtypes, library.malloc_trim.argtypes = (
            (ctypes.c_int, ctypes.c_int),
            (ctypes.c_size_t,),
        )
    except AttributeError:
        return None
    return library


class Heap:
    """The process's heap; there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._held_bytes: int | None = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What is freed inside stays with the process; at the end it is given back if that is more than LEFT_BYTES.

        Does nothing where the C library is not glibc. Any number of threads may be inside.
        """
        library = _library()
        if library is None:
            yield
            return
        with self._lock:
            self._users += 1
            if self._held_bytes is None:
                self._held_bytes = resident_bytes()
            _set(library, KEPT)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    _set(library, USUAL)
                    # Not by what glibc counts as free: that includes what it has given back already.
                    if resident_bytes() - self._held_bytes > LEFT_BYTES:
                        library.malloc_trim(0)
                        self._held_bytes = resident_bytes()


HEAP = Heap()


def resident_bytes() -> int:
    """What the process holds of the machine's memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _set(library: ctypes.CDLL, parameters: dict[int, int]) -> None:
    for parameter, value in parameters.items():
        library.mallopt(parameter, value)
