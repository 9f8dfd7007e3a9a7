"""Out-of-memory errors, the retry with smaller tiles, and the memory that is free."""

from pathlib import Path

import cv2
import pytest
import torch

from restore.errors import Code, RestoreError
from restore.runtime import host_memory
from restore.runtime.memory import (
    MAX_TILES_AT_ONCE,
    affordable_batch,
    affordable_tile,
    free_memory_bytes,
    is_out_of_memory,
    retry_with_smaller_tiles,
    translate_memory_errors,
)


def fail_above(limit_px: int, tile_px: int, error: Exception) -> int:
    """Raise `error` for a whole photo (0) and for tiles larger than `limit_px`."""
    if tile_px == 0 or tile_px > limit_px:
        raise error
    return tile_px


def ignore_retry(failed_px: int, next_px: int) -> None:
    pass


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_out_of_memory_is_recognised(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_other_errors_are_not_retried() -> None:
    mismatch = RuntimeError("size mismatch")
    assert not is_out_of_memory(mismatch)
    with pytest.raises(RuntimeError, match="size mismatch"):
        retry_with_smaller_tiles(
            lambda tile_px: fail_above(0, tile_px, mismatch), 512, 2000, ignore_retry
        )


@pytest.mark.parametrize(
    ("tile_px", "longest_px", "fits_px", "expected_retries"),
    [
        (512, 2000, 512, []),
        (512, 2000, 200, [(512, 256), (256, 128)]),
        (0, 6000, 512, [(6000, 1024), (1024, 512)]),
        (0, 300, 100, [(300, 150), (150, 75)]),
        (512, 300, 160, [(300, 150)]),
    ],
)
def test_tile_is_halved_until_it_fits(
    tile_px: int, longest_px: int, fits_px: int, expected_retries: list[tuple[int, int]]
) -> None:
    retries: list[tuple[int, int]] = []
    result = retry_with_smaller_tiles(
        lambda size_px: fail_above(fits_px, size_px, MemoryError()),
        tile_px,
        longest_px,
        lambda *sizes: retries.append(sizes),
    )
    assert retries == expected_retries
    assert result == (expected_retries[-1][1] if expected_retries else tile_px)


def test_real_allocation_failure_is_retried() -> None:
    def allocate(tile_px: int) -> int:
        if tile_px > 128:
            torch.empty(2**50, dtype=torch.uint8)
        return tile_px

    retries: list[tuple[int, int]] = []
    result = retry_with_smaller_tiles(allocate, 512, 2000, lambda *sizes: retries.append(sizes))
    assert result == 128
    assert len(retries) == 2


def test_error_when_the_smallest_tile_does_not_fit() -> None:
    with pytest.raises(RestoreError, match="even with tiles of 64") as caught:
        retry_with_smaller_tiles(
            lambda size_px: fail_above(0, size_px, MemoryError()), 256, 2000, ignore_retry
        )
    assert caught.value.code is Code.OUT_OF_MEMORY


@pytest.mark.parametrize(
    ("tile_px", "height", "width", "free_bytes", "expected_px"),
    [
        (0, 1000, 1000, 2e9, 0),  # 1 GB of 2 GB fits
        (0, 1000, 1000, 1.1e9, 500),  # more than 80 % of the free memory does not
        (0, 4000, 6000, 2e9, 1024),
        (0, 4000, 6000, 1e9, 512),
        (512, 4000, 6000, 1e9, 512),
        (512, 4000, 6000, 1e8, 256),
        (2048, 300, 400, 1e9, 2048),  # the photo is smaller than the tile
        (0, 100, 1000, 1.5e8, 0),  # 0.1 GB: a strip needs less than a square of its length
        (512, 4000, 6000, 1e3, 64),  # no tile fits: the smallest is returned
    ],
)
def test_affordable_tile_fits_into_free_memory(
    tile_px: int, height: int, width: int, free_bytes: float, expected_px: int
) -> None:
    assert affordable_tile(tile_px, height, width, 1000, int(free_bytes)) == expected_px


def test_free_memory_of_a_gpu_includes_the_cache_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 300)
    assert free_memory_bytes(torch.device("cuda")) == 210


def test_free_memory_is_limited_by_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(host_memory, "CGROUP_FOLDER", tmp_path)
    assert free_memory_bytes(cpu) > 10**8
    (tmp_path / "memory.current").write_text("50000000\n")
    (tmp_path / "memory.stat").write_text(
        "anon 40000000\ninactive_file 6000000\nactive_file 1000000\nfile 7000000\n"
    )
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory_bytes(cpu) > 10**8
    (tmp_path / "memory.max").write_text("80000000\n")
    assert free_memory_bytes(cpu) == 37_000_000  # the file cache counts as free
    (tmp_path / "memory.max").write_text("10000000\n")
    assert free_memory_bytes(cpu) == 0


def test_opencv_memory_error_is_translated_and_names_the_photo() -> None:
    def encode() -> None:
        with translate_memory_errors("a.jpg", "encoding"):
            raise cv2.error(
                "OpenCV(5.0.0) alloc.cpp: error: (-4:Insufficient memory) Failed to allocate"
            )

    with pytest.raises(
        RestoreError, match=r"\[E501\] photo 'a\.jpg': memory ran out while encoding"
    ):
        encode()


@pytest.mark.parametrize(
    ("count", "bytes_per_px", "free_bytes", "batch"),
    [
        (20, 100, 10**9, MAX_TILES_AT_ONCE),
        (3, 100, 10**9, 3),
        (20, 10_000, 11 * 10**7, 2),  # 41 MB for each tile, 0.8 of the memory
        (20, 10_000, 10**6, 1),
        (20, 0, 10**9, 1),
    ],
)
def test_batch_of_tiles_fits_into_free_memory(
    count: int, bytes_per_px: int, free_bytes: int, batch: int
) -> None:
    assert affordable_batch(count, 64 * 64, bytes_per_px, free_bytes) == batch
