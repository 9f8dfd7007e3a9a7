"""Device choice and the retry with smaller tiles."""

import cv2
import pytest
import torch

from restore.errors import Code, RestoreError
from restore.runtime import device as module
from restore.runtime.device import (
    affordable_tile,
    coded_memory_errors,
    free_memory_bytes,
    is_out_of_memory,
    runtime_for,
    select_device,
    with_smaller_tiles,
)


def test_the_callers_device_comes_before_the_environments():
    assert select_device("cpu", {"RESTORE_DEVICE": "nowhere"}) == torch.device("cpu")
    assert select_device(None, {"RESTORE_DEVICE": "cpu"}) == torch.device("cpu")
    assert select_device(None, {}).type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["nowhere", "cuda:99", "meta", "hpu"])
def test_a_device_that_is_not_here_is_refused_by_name(name):
    with pytest.raises(RestoreError, match=name) as caught:
        select_device(name, {})
    assert caught.value.code is Code.DEVICE


def test_baseline_is_float32_without_tf32():
    torch.backends.cudnn.allow_tf32 = True
    runtime = runtime_for("baseline", torch.device("cpu"))
    assert (runtime.dtype, runtime.precision, runtime.tile_batch) == (torch.float32, "float32", 1)
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_every_way_of_running_out_of_memory_is_recognised(error):
    assert is_out_of_memory(error)


def test_other_errors_are_not_taken_for_it():
    assert not is_out_of_memory(RuntimeError("size mismatch"))
    with pytest.raises(RuntimeError, match="size mismatch"):
        with_smaller_tiles(
            lambda tile_px: failing(tile_px, RuntimeError("size mismatch"), 0),
            512,
            2000,
            lambda *n: None,
        )


def failing(tile_px: int, error: Exception, above_px: int) -> int:
    """Fails for whole photos and for tiles larger than `above_px`."""
    if tile_px == 0 or tile_px > above_px:
        raise error
    return tile_px


def real_out_of_memory(tile_px: int) -> int:
    if tile_px > 128:
        torch.empty(2**50, dtype=torch.uint8)
    return tile_px


@pytest.mark.parametrize(
    ("tile_px", "longest_px", "fits_px", "tried"),
    [
        (512, 2000, 512, []),
        (512, 2000, 200, [(512, 256), (256, 128)]),
        (0, 6000, 512, [(6000, 1024), (1024, 512)]),
        (0, 300, 100, [(300, 150), (150, 75)]),
        (512, 300, 160, [(300, 150)]),
    ],
)
def test_the_tile_is_halved_until_it_fits(tile_px, longest_px, fits_px, tried):
    retries = []

    def run(size_px: int) -> int:
        return failing(size_px, MemoryError(), fits_px)

    result = with_smaller_tiles(run, tile_px, longest_px, lambda *sizes: retries.append(sizes))
    assert retries == tried
    assert result == (tried[-1][1] if tried else tile_px)


def test_a_real_allocation_failure_is_survived():
    retries = []
    assert (
        with_smaller_tiles(real_out_of_memory, 512, 2000, lambda *sizes: retries.append(sizes))
        == 128
    )
    assert len(retries) == 2


def test_memory_that_never_suffices_is_an_error_that_says_so():
    with pytest.raises(RestoreError, match="even with tiles of 64") as caught:
        with_smaller_tiles(lambda size: failing(size, MemoryError(), 0), 256, 2000, lambda *n: None)
    assert caught.value.code is Code.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("tile_px", "height", "width", "free_bytes", "wanted"),
    [
        (0, 1000, 1000, 2e9, 0),  # 1 GB of 2 fits
        (0, 1000, 1000, 1.1e9, 500),  # more than 80 % of what is free does not
        (0, 4000, 6000, 2e9, 1024),
        (0, 4000, 6000, 1e9, 512),
        (512, 4000, 6000, 1e9, 512),
        (512, 4000, 6000, 1e8, 256),
        (2048, 300, 400, 1e9, 2048),  # the photo is smaller than the tile
        (512, 4000, 6000, 1e3, 64),  # nothing fits: the smallest is tried
    ],
)
def test_a_tile_that_is_known_not_to_fit_is_not_tried(tile_px, height, width, free_bytes, wanted):
    assert affordable_tile(tile_px, height, width, 1000, int(free_bytes)) == wanted


def test_free_memory_is_the_least_of_what_machine_and_container_leave(tmp_path, monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(module, "CGROUP", tmp_path)
    machine = free_memory_bytes(cpu)
    assert machine > 10**8
    (tmp_path / "memory.current").write_text("50000000\n")
    (tmp_path / "memory.stat").write_text(
        "anon 40000000\ninactive_file 6000000\nactive_file 1000000\nfile 7000000\n"
    )
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory_bytes(cpu) > 10**8
    (tmp_path / "memory.max").write_text("80000000\n")
    assert free_memory_bytes(cpu) == 37_000_000  # the file cache gives way
    (tmp_path / "memory.max").write_text("10000000\n")
    assert free_memory_bytes(cpu) == 0


def test_opencv_running_out_of_memory_is_a_coded_error_about_the_photo():
    def greedy() -> None:
        with coded_memory_errors("a.jpg", "encoding"):
            raise cv2.error(
                "OpenCV(5.0.0) alloc.cpp: error: (-4:Insufficient memory) Failed to allocate"
            )

    with pytest.raises(
        RestoreError, match=r"\[E501\] photo 'a\.jpg': memory ran out while encoding"
    ):
        greedy()
