"""How many worker processes the local engine starts, and on which devices."""

from __future__ import annotations

import os

import torch

from restore.batch.pool import WorkerPlan
from restore.runtime.memory import free_memory_bytes

GPU_GROUP_SIZE = 4
"""Photos per request on a GPU: as many as a request may have."""
MEMORY_PER_WORKER_BYTES = 3 * 2**30
"""Memory of a worker on a CPU: all networks, and a photo of some megapixels."""


def plan_workers(device: str | None, workers: int | None = None) -> WorkerPlan:
    """Return one worker per GPU, or on a CPU one per core as far as the memory suffices.

    Each worker on a CPU has its share of the threads, because most operations on small photos are
    too short to be divided among many.

    Args:
        device: as for Restorer; None means CUDA if there is a GPU.
        workers: number of workers; None chooses it.
    """
    gpus = torch.cuda.device_count() if device in {None, "cuda"} else 0
    if device is not None and device.startswith("cuda:"):
        return WorkerPlan((device,) * (workers or 1), group_size=GPU_GROUP_SIZE)
    if gpus:
        count = workers or gpus
        devices = tuple(f"cuda:{index % gpus}" for index in range(count))
        return WorkerPlan(devices, group_size=GPU_GROUP_SIZE)
    cores = len(os.sched_getaffinity(0))
    free_bytes = free_memory_bytes(torch.device("cpu"))
    count = workers or max(1, min(cores, free_bytes // MEMORY_PER_WORKER_BYTES))
    return WorkerPlan((device,) * count, threads=max(1, cores // count))
