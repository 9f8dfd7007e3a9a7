"""What is freed stays with the process for a while, and is given back after."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import PROJECT

from restore.runtime import allocator as heap

LARGE = 48 << 20  # above what glibc by itself ever keeps


# In a process of its own, as what other tests left in this one's heap serves as well.
FAULTS = """
import ctypes, resource, sys
from restore.runtime.allocator import Heap
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes, library.free.argtypes = ctypes.c_void_p, (ctypes.c_size_t,), (ctypes.c_void_p,)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    address = library.malloc(LARGE)
    ctypes.memset(address, 1, LARGE)
    library.free(address)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
outside = faults()
with Heap().kept():
    faults()
    inside = faults()
print(outside, inside)
"""


needs_glibc = pytest.mark.skipif(heap._library() is None, reason="the C library is not glibc")


@needs_glibc
def test_a_freed_block_serves_again_without_new_pages():
    code = FAULTS.replace("LARGE", str(LARGE))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    outside, inside = map(int, done.stdout.split())
    assert outside > LARGE // 4096 // 2, "glibc gives it back by itself"
    assert inside < LARGE // 4096 // 20


@needs_glibc
def test_only_the_last_to_leave_gives_back(monkeypatch):
    own, settings = heap.Heap(), []
    monkeypatch.setattr(heap, "_set", lambda _, parameters: settings.append(parameters))
    inside, leave = threading.Event(), threading.Event()

    def stay():
        with own.kept():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=stay)
    with own.kept():
        thread.start()
        assert inside.wait(10)
    assert settings == [heap.KEPT, heap.KEPT]
    leave.set()
    thread.join()
    assert settings == [heap.KEPT, heap.KEPT, heap.USUAL]


@needs_glibc
def test_an_error_inside_leaves_nothing_kept(monkeypatch):
    own, settings = heap.Heap(), []
    monkeypatch.setattr(heap, "_set", lambda _, parameters: settings.append(parameters))
    with pytest.raises(ValueError, match="inside"), own.kept():
        raise ValueError("inside")
    assert settings[-1] == heap.USUAL


@needs_glibc
def test_a_large_rest_is_given_back(monkeypatch):
    monkeypatch.setattr(heap, "LEFT_BYTES", 1 << 20)

    before = heap.resident_bytes()
    with heap.Heap().kept():
        blocks = [np.ones(LARGE, np.uint8) for _ in range(4)]
        del blocks
        assert heap.resident_bytes() - before > 2 * LARGE
    assert heap.resident_bytes() - before < LARGE


@needs_glibc
def test_memory_is_given_back_when_much_was_kept_and_not_after_every_request(monkeypatch):
    held, trims = iter([100, 100, 150, 300, 120, 200, 221, 121]), []
    library = type("Library", (), {"malloc_trim": lambda _, pad: trims.append(pad)})()
    monkeypatch.setattr(heap, "_library", lambda: library)
    monkeypatch.setattr(heap, "_set", lambda *_: None)
    monkeypatch.setattr(heap, "LEFT_BYTES", 100)
    monkeypatch.setattr(heap, "resident_bytes", lambda: next(held))
    own, given_back = heap.Heap(), []
    for _ in range(5):
        with own.kept():
            pass
        given_back.append(len(trims))
    assert given_back == [0, 0, 1, 1, 2], (
        "at 300 beyond 100, and at 221 beyond the 120 that were left"
    )


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(heap, "_library", lambda: None)
    with heap.Heap().kept():
        assert np.ones(LARGE, np.uint8).sum() == LARGE
