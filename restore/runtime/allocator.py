"""Settings of glibc's malloc: keep freed memory in the process while a request runs on a CPU.

By default glibc returns every large block to the system when it is freed. A network allocates large
blocks for every layer, and the kernel must find and zero their pages each time: a third of
CodeFormer's time on a small machine, measured.
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
        # One malloc arena for all threads, so that memory freed in the worker thread is reused.
        "MALLOC_ARENA_MAX": "1",
        # torch and oneDNN cache 20 to 40 kB per input shape of a convolution, 1024 shapes by
        # default, so memory grows for hours. Requests are as fast with 128, slower with 64.
        "LRU_CACHE_CAPACITY": "128",
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
    }
)
"""Environment variables that a server process must start with; cog.yaml sets the same ones."""

# Parameter numbers of mallopt, from malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4

KEEP_SETTINGS = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 << 20}
DEFAULT_SETTINGS = {
    MMAP_MAX: 65536,
    MMAP_THRESHOLD: 32 << 20,
    TRIM_THRESHOLD: 64 << 20,
    TOP_PAD: 128 << 10,
}
"""The values that glibc's dynamic thresholds reach in a process that has used large blocks."""

MAX_RETAINED_BYTES = 32 << 20
"""Growth since the last trim above which free memory is returned to the system after a request.

Larger values gave no measurable gain with the lite networks.
"""


@cache
def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is glibc."""
    library = ctypes.CDLL(None)
    try:
        library.mallopt.argtypes = (ctypes.c_int, ctypes.c_int)
        library.malloc_trim.argtypes = (ctypes.c_size_t,)
    except AttributeError:
        return None
    return library


def return_large_blocks(threshold_bytes: int) -> None:
    """Let blocks of at least this size return to the system as soon as they are freed.

    For a process that holds large blocks for short times. By default glibc raises the threshold to
    32 MiB after the first ones, and keeps smaller blocks. Does nothing with another C library.
    """
    library = _glibc()
    if library is not None:
        library.mallopt(MMAP_THRESHOLD, threshold_bytes)


class Allocator:
    """Controls malloc for the whole process. Use the single instance `ALLOCATOR`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._resident_after_trim_bytes: int | None = None

    @contextmanager
    def keep_freed_memory(self) -> Iterator[None]:
        """Keep freed memory in the process while the block runs.

        When the last concurrent block ends, the default settings are restored, and free memory is
        returned to the system if the process has grown by more than MAX_RETAINED_BYTES. Does
        nothing if the C library is not glibc. Thread-safe.
        """
        library = _glibc()
        if library is None:
            yield
            return
        with self._lock:
            self._users += 1
            if self._resident_after_trim_bytes is None:
                self._resident_after_trim_bytes = resident_bytes()
            _apply(library, KEEP_SETTINGS)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    _apply(library, DEFAULT_SETTINGS)
                    # glibc's own count of free bytes includes pages that were returned already,
                    # so resident memory is compared.
                    if resident_bytes() - self._resident_after_trim_bytes > MAX_RETAINED_BYTES:
                        library.malloc_trim(0)
                        self._resident_after_trim_bytes = resident_bytes()


ALLOCATOR = Allocator()


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _apply(library: ctypes.CDLL, settings: dict[int, int]) -> None:
    for parameter, value in settings.items():
        library.mallopt(parameter, value)
