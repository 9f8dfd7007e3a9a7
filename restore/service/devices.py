"""Which part of the machine each local worker gets: one GPU, or a share of the CPU cores."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from collections.abc import Mapping

NVIDIA_SMI = "nvidia-smi"
TIMEOUT_S = 30.0
VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"

_DEVICE = re.compile(r"^(?:GPU|\s+MIG) .*\(UUID: ([\w/-]+)\)", re.MULTILINE)

log = logging.getLogger("restore.service.devices")


def worker_environments(
    count: int, environment: Mapping[str, str] = os.environ
) -> list[dict[str, str]]:
    """Return the variables that give each of a number of workers its device. Blocks.

    With GPUs, the workers take turns on them. On a CPU, several workers share the cores: each would
    otherwise start one thread per core. A variable that the environment sets is not changed.
    """
    devices = visible_devices(environment)
    if devices:
        return [{VISIBLE_DEVICES: devices[index % len(devices)]} for index in range(count)]
    if count < 2 or THREADS in environment:
        return [{} for _ in range(count)]
    threads = max(1, len(os.sched_getaffinity(0)) // count)
    return [{THREADS: str(threads)} for _ in range(count)]


def visible_devices(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the CUDA devices that workers may use, as CUDA_VISIBLE_DEVICES names them.

    There are none if RESTORE_DEVICE names a CPU or one GPU.
    """
    if environment.get("RESTORE_DEVICE", "").strip() not in {"", "auto", "cuda"}:
        return []
    if VISIBLE_DEVICES in environment:
        names = environment[VISIBLE_DEVICES].split(",")
        return [name.strip() for name in names if name.strip() not in {"", "-1"}]
    program = shutil.which(NVIDIA_SMI)
    if program is None:
        return []
    try:
        listed = subprocess.run(
            [program, "-L"], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        log.warning("%s -L failed (%s): all workers use the same device", NVIDIA_SMI, error)
        return []
    return parse_devices(listed)


def parse_devices(listed: str) -> list[str]:
    """Return the UUIDs in the output of `nvidia-smi -L`.

    A GPU that is divided (MIG) cannot be used as a whole: its parts take its place.
    """
    devices: list[str] = []
    for device in _DEVICE.findall(listed):
        if device.startswith("MIG-") and devices and devices[-1].startswith("GPU-"):
            devices.pop()
        devices.append(device)
    return devices
