"""Memory limits: how much is free, which tile size fits, and recovery from out-of-memory errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import cv2
import torch

from restore.errors import Code, RestoreError
from restore.options import MIN_TILE_PX
from restore.runtime.host_memory import host_free_bytes

T = TypeVar("T")
log = logging.getLogger("restore")

MAX_FIRST_TILE_PX = 1024
"""The largest tile that is tried when a whole photo does not fit."""

MAX_TILES_AT_ONCE = 8
"""Tiles of a batch. More do not use a GPU better, and progress is reported for each batch."""

USABLE_MEMORY_FRACTION = 0.8
"""The fraction of the free memory that a forward pass may be planned to use."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception of torch, numpy or OpenCV reports that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    if isinstance(error, cv2.error):
        return "Insufficient memory" in text
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "out of memory" in text
    )


@contextmanager
def translate_memory_errors(photo: str, action: str) -> Iterator[None]:
    """Convert out-of-memory exceptions in the block into an error that names the photo.

    Args:
        photo: the photo's name.
        action: what the block does with it, for the message, such as 'restoring'.

    Raises:
        RestoreError: OUT_OF_MEMORY.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, RestoreError) or not is_out_of_memory(error):
            raise
        raise RestoreError(
            Code.OUT_OF_MEMORY,
            f"memory ran out while {action} it",
            "Free memory, or ask for a smaller result.",
            photo=photo,
        ) from error


def retry_with_smaller_tiles(
    run: Callable[[int], T], tile_px: int, longest_px: int, on_retry: Callable[[int, int], None]
) -> T:
    """Call `run(tile_px)`; halve the tile and retry each time memory runs out.

    Args:
        run: the work, called with the tile side in pixels (0: the whole photo).
        tile_px: the first tile side to try.
        longest_px: the photo's longer side, so that a whole photo is not retried as a single
            tile of the same size.
        on_retry: called as on_retry(failed_px, next_px) before each retry.

    Raises:
        RestoreError: OUT_OF_MEMORY if the smallest tile does not fit either.
    """
    while True:
        try:
            return run(tile_px)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            log.debug("out of memory at tile %d", tile_px, exc_info=True)
        release_cached_memory()
        failed_px, tile_px = _tile_side(tile_px, longest_px), smaller_tile(tile_px, longest_px)
        if tile_px < MIN_TILE_PX:
            raise RestoreError(
                Code.OUT_OF_MEMORY,
                f"memory ran out even with tiles of {failed_px} pixels",
                "Free memory on the device, or send a smaller photo.",
            )
        on_retry(failed_px, tile_px)


def smaller_tile(tile_px: int, longest_px: int) -> int:
    """Return half of `tile_px`; for a whole photo (0) at most MAX_FIRST_TILE_PX."""
    side_px = _tile_side(tile_px, longest_px)
    return min(MAX_FIRST_TILE_PX, side_px // 2) if side_px == longest_px else side_px // 2


def affordable_tile(
    tile_px: int, height: int, width: int, bytes_per_px: int, free_bytes: int
) -> int:
    """Return the largest tile side, at most `tile_px`, whose forward pass fits into free memory.

    On a CPU the kernel kills a process that uses too much memory, without an exception to catch.
    So a tile that is known not to fit must not be tried. If no tile fits, the smallest is returned.

    Args:
        tile_px: the requested tile side in pixels; 0 for the whole photo.
        height: the photo's height in pixels.
        width: the photo's width in pixels.
        bytes_per_px: working memory of the network per input pixel.
        free_bytes: as from `free_memory_bytes`.
    """
    longest_px = max(height, width)
    while True:
        side_px = _tile_side(tile_px, longest_px)
        needed_bytes = min(side_px, height) * min(side_px, width) * bytes_per_px
        next_px = smaller_tile(tile_px, longest_px)
        if needed_bytes <= USABLE_MEMORY_FRACTION * free_bytes or next_px < MIN_TILE_PX:
            return tile_px
        tile_px = next_px


def affordable_batch(count: int, tile_pixels: int, bytes_per_px: int, free_bytes: int) -> int:
    """Return how many of `count` tiles may go through a network at once, 1 if that is not known.

    Args:
        count: number of tiles.
        tile_pixels: pixels of a tile.
        bytes_per_px: working memory of the network per input pixel; 0 if it was not measured.
        free_bytes: as from `free_memory_bytes`.
    """
    if not bytes_per_px:
        return 1
    fitting = int(USABLE_MEMORY_FRACTION * free_bytes) // (tile_pixels * bytes_per_px)
    return max(1, min(count, fitting, MAX_TILES_AT_ONCE))


def release_cached_memory() -> None:
    """Return memory that torch keeps for later calls to the GPU."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def free_memory_bytes(device: torch.device) -> int:
    """Return the memory that a forward pass on `device` may still use.

    For a GPU this is its free memory plus torch's own cache. For a CPU, see `host_free_bytes`.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return host_free_bytes()


def _tile_side(tile_px: int, longest_px: int) -> int:
    return tile_px if 0 < tile_px < longest_px else longest_px
