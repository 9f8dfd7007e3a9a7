"""How many worker processes the local engine starts, and on which devices.

The main process of a batch does not load torch unless there may be a GPU: while the workers start,
that would take the time of one of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from restore.batch.pool import WorkerPlan
from restore.runtime.host_memory import host_free_bytes

GPU_GROUP_SIZE = 4
"""Photos per request on a GPU: as many as a request may have."""
MEMORY_PER_WORKER_BYTES = 3 * 2**30
"""Memory of a worker on a CPU: all networks, and a photo of some megapixels."""
GPU_FILES = tuple(Path("/dev", name) for name in ("nvidiactl", "dxg", "kfd"))
"""Files of the drivers through which torch finds GPUs: NVIDIA, Windows' and AMD's."""


def plan_workers(
    device: str | None,
    workers: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> WorkerPlan:
    """Return one worker per GPU, or on a CPU one per core as far as the memory suffices.

    Each worker on a CPU has its share of the threads, because most operations on small photos are
    too short to be divided among many.

    Args:
        device: as for Restorer; None means RESTORE_DEVICE, or CUDA if there is a GPU.
        workers: number of workers; None chooses it.
        environment: has RESTORE_DEVICE.
    """
    device = device or environment.get("RESTORE_DEVICE", "").strip() or "auto"
    if device.startswith("cuda:"):
        return WorkerPlan((device,) * (workers or 1), group_size=GPU_GROUP_SIZE)
    if gpus := count_gpus() if device in {"auto", "cuda"} else 0:
        count = workers or gpus
        devices = tuple(f"cuda:{index % gpus}" for index in range(count))
        return WorkerPlan(devices, group_size=GPU_GROUP_SIZE)
    cores = len(os.sched_getaffinity(0))
    count = workers or max(1, min(cores, host_free_bytes() // MEMORY_PER_WORKER_BYTES))
    return WorkerPlan((device,) * count, threads=max(1, cores // count))


def count_gpus() -> int:
    """Return the number of GPUs that torch can use."""
    if not any(file.exists() for file in GPU_FILES):
        return 0
    import torch  # noqa: PLC0415 - takes two seconds

    return torch.cuda.device_count()
