"""Freed memory stays in the process during a request and is returned afterwards."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from places import PROJECT

from restore.runtime import allocator
from restore.runtime.allocator import Allocator

LARGE_BYTES = 48 << 20  # above the sizes that glibc keeps by default
PAGE_BYTES = 4096

# Run in separate processes, so that memory freed by other tests is not reused.
COUNT_PAGE_FAULTS = """
import ctypes, resource
from restore.runtime.allocator import Allocator
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
library.free.argtypes = (ctypes.c_void_p,)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    address = library.malloc(LARGE_BYTES)
    ctypes.memset(address, 1, LARGE_BYTES)
    library.free(address)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
outside = faults()
with Allocator().keep_freed_memory():
    faults()
    inside = faults()
print(outside, inside)
"""

MEASURE_MEMORY = """
import numpy as np
from restore.runtime import allocator

allocator.MAX_RETAINED_BYTES = 1 << 20
before = allocator.resident_bytes()
with allocator.Allocator().keep_freed_memory():
    blocks = [np.ones(LARGE_BYTES, np.uint8) for _ in range(4)]
    del blocks
    inside = allocator.resident_bytes() - before
print(inside, allocator.resident_bytes() - before)
"""

needs_glibc = pytest.mark.skipif(allocator._glibc() is None, reason="the C library is not glibc")


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[dict[int, int]]:
    """The settings that an Allocator applies, in order; none reaches malloc."""
    settings: list[dict[int, int]] = []
    monkeypatch.setattr(allocator, "_apply", lambda _, given: settings.append(given))
    return settings


@needs_glibc
def test_freed_block_is_reused_without_page_faults() -> None:
    code = COUNT_PAGE_FAULTS.replace("LARGE_BYTES", str(LARGE_BYTES))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    outside, inside = map(int, done.stdout.split())
    assert outside > LARGE_BYTES // PAGE_BYTES // 2, "by default glibc returns the block"
    assert inside < LARGE_BYTES // PAGE_BYTES // 20


@needs_glibc
def test_defaults_return_when_the_last_thread_leaves(applied: list[dict[int, int]]) -> None:
    shared = Allocator()
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with shared.keep_freed_memory():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    with shared.keep_freed_memory():
        thread.start()
        assert entered.wait(10)
    assert applied == [allocator.KEEP_SETTINGS, allocator.KEEP_SETTINGS]
    leave.set()
    thread.join()
    assert applied[2:] == [allocator.DEFAULT_SETTINGS]


@needs_glibc
def test_defaults_return_after_an_error(applied: list[dict[int, int]]) -> None:
    with pytest.raises(ValueError, match="inside"), Allocator().keep_freed_memory():
        raise ValueError("inside")
    assert applied[-1] == allocator.DEFAULT_SETTINGS


@needs_glibc
def test_large_freed_memory_is_returned_to_the_system() -> None:
    code = MEASURE_MEMORY.replace("LARGE_BYTES", str(LARGE_BYTES))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    inside, outside = map(int, done.stdout.split())
    assert inside > 2 * LARGE_BYTES
    assert outside < LARGE_BYTES


@needs_glibc
def test_memory_is_trimmed_only_above_the_retained_limit(
    monkeypatch: pytest.MonkeyPatch, applied: list[dict[int, int]]
) -> None:
    resident = iter([100, 100, 150, 300, 120, 200, 221, 121])
    trims: list[int] = []
    library = type("Library", (), {"malloc_trim": lambda _, pad: trims.append(pad)})()
    monkeypatch.setattr(allocator, "_glibc", lambda: library)
    monkeypatch.setattr(allocator, "MAX_RETAINED_BYTES", 100)
    monkeypatch.setattr(allocator, "resident_bytes", lambda: next(resident))
    instance = Allocator()
    trims_after_each_request = []
    for _ in range(5):
        with instance.keep_freed_memory():
            pass
        trims_after_each_request.append(len(trims))
    # Trims at 300, which is 200 above the first 100, and at 221, which is 101 above 120.
    assert trims_after_each_request == [0, 0, 1, 1, 2]


def test_other_c_libraries_are_left_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_glibc", lambda: None)
    with Allocator().keep_freed_memory():
        assert np.ones(LARGE_BYTES, np.uint8).sum() == LARGE_BYTES


def test_large_blocks_return_to_the_system_at_once() -> None:
    """In a process of its own, because the setting cannot be taken back."""
    code = (
        "from pathlib import Path\n"
        "from restore.runtime.allocator import return_large_blocks\n"
        "def resident(): return int(Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
        "return_large_blocks(2**20)\n"
        "bytearray(20 * 2**20)  # raises glibc's own threshold\n"
        "blocks = [bytearray(2**20) for _ in range(100)]\n"
        "keeper, full = bytearray(1000), resident()\n"
        "del blocks\n"
        "print((full - resident()) >> 20)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 90
