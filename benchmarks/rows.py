"""Rows of measurements: what machine and commit they are from, how memory is read, where they are kept."""

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
    """The highest resident size that this process has had, in MB (10^6 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def machine() -> dict[str, object]:
    """Commit, torch and CPU: part of every row."""
    named = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=RESULTS.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "commit": named.stdout.strip() or "unknown",
        "torch": torch.__version__,
        "cpu": f"{os.cpu_count()} x {platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    }


def record(name: str, row: dict[str, object]) -> None:
    """Adds a row to results/<name>.jsonl."""
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{name}.jsonl").open("a") as rows:
        rows.write(json.dumps(row) + "\n")
