"""Device, precision and what to do when memory runs out: every decision about the machine is taken here."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import torch

from restore.errors import Code, RestoreError
from restore.options import MIN_TILE_PX, RuntimeProfile

T = TypeVar("T")
log = logging.getLogger("restore")

FIRST_TILE_AFTER_WHOLE_PX = 1024
"""A photo that does not fit whole is tried in tiles of this size first."""

USABLE_SHARE = 0.8
"""Of the free memory, what a forward may plan with."""

CGROUP = Path("/sys/fs/cgroup")

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, total) while a request runs."""


def silent(what: str, done: int, total: int) -> None:
    """The progress of a caller that wants none."""


@dataclass(frozen=True)
class Runtime:
    """Where and how a request computes."""

    device: torch.device
    dtype: torch.dtype
    profile: RuntimeProfile
    tile_batch: int
    compile_backend: str | None = None
    """None for networks as they were loaded (`safe`)."""

    @property
    def optimized(self) -> bool:
        """Whether networks run as faster copies."""
        return self.compile_backend is not None

    @property
    def compiles(self) -> bool:
        """Whether some of them are compiled, for fixed shapes."""
        return self.compile_backend not in {None, "none"}

    @property
    def batches_faces(self) -> bool:
        """Whether the faces of a request go through a network together."""
        return self.profile != "baseline"

    @property
    def parses_faces(self) -> bool:
        """Whether a parser says where a restored face covers the photo, rather than a fixed soft shape."""
        return self.profile != "max_speed"

    @property
    def precision(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def select_device(
    name: str | None = None, environment: Mapping[str, str] = os.environ
) -> torch.device:
    """The device named by the caller, else by RESTORE_DEVICE, else CUDA where there is one, else the CPU.

    Raises:
        RestoreError: DEVICE when the named device does not exist here.
    """
    wanted = name or environment.get("RESTORE_DEVICE", "").strip() or "auto"
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError, NotImplementedError) as error:
        reason = f"device '{wanted}' cannot be used here ({str(error).splitlines()[0][:120]})"
        raise RestoreError(
            Code.DEVICE, reason, "Use cpu, cuda or cuda:N of a device that exists, or auto."
        ) from error
    return device


def runtime_for(
    profile: RuntimeProfile, device: torch.device, compile_backend: str | None = None
) -> Runtime:
    """What a profile means on a device; a `compile_backend` (`none` is one) makes it an optimized one.

    `baseline`: float32 with full-precision products, one tile and one face at a time, the official arithmetic. `fast`: the faces of
    a request together. `max_speed`: moreover no parser where faces are put back. No reduced precision was measured to be safe yet.
    """
    # TF32 keeps ten bits of a float32's 23: convolutions use it unless told otherwise.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    # Trying out algorithms makes the first forward of a shape slow, and two runs unequal: only where shapes are fixed.
    runtime = Runtime(device, torch.float32, profile, tile_batch=1, compile_backend=compile_backend)
    torch.backends.cudnn.benchmark = runtime.compiles
    return runtime


def is_out_of_memory(error: BaseException) -> bool:
    """True for the ways in which torch, numpy and OpenCV say that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    if isinstance(error, cv2.error):
        return "Insufficient memory" in text
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "out of memory" in text
    )


@contextmanager
def coded_memory_errors(photo: str, doing: str) -> Iterator[None]:
    """Turns running out of memory in the block into an error about the photo.

    Raises:
        RestoreError: OUT_OF_MEMORY.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, RestoreError) or not is_out_of_memory(error):
            raise
        remedy = "Free memory, or ask for a smaller result."
        raise RestoreError(
            Code.OUT_OF_MEMORY, f"memory ran out while {doing} it", remedy, photo=photo
        ) from error


def with_smaller_tiles(
    run: Callable[[int], T], tile_px: int, longest_px: int, on_retry: Callable[[int, int], None]
) -> T:
    """Calls `run(tile_px)`; each time memory runs out, halves the tile and calls again.

    Args:
        run: the work, given the side of a tile in pixels (0: the whole photo).
        tile_px: the first size to try.
        longest_px: the photo's longer side, so that a whole photo is not retried as one tile of the same size.
        on_retry: told (failed size, next size) before each retry.

    Raises:
        RestoreError: OUT_OF_MEMORY when the smallest tile does not fit either.
    """
    while True:
        try:
            return run(tile_px)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            log.debug("out of memory at tile %d", tile_px, exc_info=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        failed_px, tile_px = _tile_side(tile_px, longest_px), smaller_tile(tile_px, longest_px)
        if tile_px < MIN_TILE_PX:
            reason = f"memory ran out even with tiles of {failed_px} pixels"
            raise RestoreError(
                Code.OUT_OF_MEMORY, reason, "Free memory on the device, or send a smaller photo."
            )
        on_retry(failed_px, tile_px)


def smaller_tile(tile_px: int, longest_px: int) -> int:
    """The size to try after `tile_px` (0: whole photo): half of it, and for a whole photo at most FIRST_TILE_AFTER_WHOLE_PX."""
    side_px = _tile_side(tile_px, longest_px)
    return min(FIRST_TILE_AFTER_WHOLE_PX, side_px // 2) if side_px == longest_px else side_px // 2


def affordable_tile(
    tile_px: int, height: int, width: int, bytes_per_px: int, free_bytes: int
) -> int:
    """The largest tile, not above `tile_px` (0: whole photo), whose forward fits into most of the free memory.

    On a CPU a network that asks for too much is not refused but gets its process killed by the kernel: what is known not to
    fit must not be tried. The smallest tile is given where none fits.
    """
    longest_px = max(height, width)
    while True:
        side_px = _tile_side(tile_px, longest_px)
        needed_bytes = min(side_px, height) * min(side_px, width) * bytes_per_px
        next_px = smaller_tile(tile_px, longest_px)
        if needed_bytes <= USABLE_SHARE * free_bytes or next_px < MIN_TILE_PX:
            return tile_px
        tile_px = next_px


def free_memory_bytes(device: torch.device) -> int:
    """Memory that a forward on `device` may still take: the GPU's free memory, or what system and container leave of RAM."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # What torch holds in its cache is as good as free.
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    free_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf(
        "SC_PAGE_SIZE"
    )  # all of it, where the system tells no more
    memory_info = Path("/proc/meminfo")
    if memory_info.exists():  # counts the file cache as free, which it is
        available = next(
            line for line in memory_info.read_text().splitlines() if line.startswith("MemAvailable")
        )
        free_bytes = int(available.split()[1]) * 1024
    try:
        limit, used, details = (
            (CGROUP / name).read_text().strip()
            for name in ("memory.max", "memory.current", "memory.stat")
        )
    except OSError:
        return free_bytes
    if limit == "max":
        return free_bytes
    # What the container uses includes the file cache, which gives way.
    cached = sum(
        int(line.split()[1])
        for line in details.splitlines()
        if line.startswith(("inactive_file ", "active_file "))
    )
    return max(0, min(free_bytes, int(limit) - int(used) + cached))


def _tile_side(tile_px: int, longest_px: int) -> int:
    return tile_px if 0 < tile_px < longest_px else longest_px
