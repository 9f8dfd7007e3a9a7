"""Rows of measurements: facts of the machine, memory of the process, and files of rows."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
from pathlib import Path

import torch

RESULTS = Path(__file__).resolve().parent / "results"


def resident_peak_mb() -> float:
    """Return the peak resident size of this process in MB (10^6 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def machine() -> dict[str, object]:
    """Return the commit, the version of torch and the CPU, which are part of every row.

    The instruction set is the one that torch uses, which an environment variable can limit.
    """
    instruction_set = torch.backends.cpu.get_cpu_capability()
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=RESULTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "commit": commit.stdout.strip() or "unknown",
        "torch": torch.__version__,
        "cpu": f"{os.cpu_count()} x {platform.machine()} {instruction_set}",
        "instruction_set": instruction_set,
    }


def machine_with_device(device: str) -> dict[str, object]:
    """Return `machine()` with the number of CPU cores and the product name of a device."""
    gpu = device.startswith("cuda") and torch.cuda.is_available()
    return {
        **machine(),
        "device_name": torch.cuda.get_device_name(device) if gpu else device,
        "cpu_cores": os.cpu_count(),
    }


def record(name: str, row: dict[str, object]) -> None:
    """Append a row to results/<name>.jsonl."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.jsonl").open("a") as rows:
        rows.write(json.dumps(row) + "\n")
