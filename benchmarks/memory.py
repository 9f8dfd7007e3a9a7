"""Memory of a server's processes and of the GPU, sampled over time, and its growth."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import torch

SAMPLE_INTERVAL_S = 0.5
WINDOWS = 8
"""Number of equal parts of a run whose medians are compared with that of the first."""
BYTES_PER_MB = 1e6


@dataclass
class MemorySamples:
    """Samples of the memory of the server's processes and of the device."""

    at_s: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    device_mb: list[float] = field(default_factory=list)


class MemoryWatch:
    """Samples memory in a thread for the duration of a `with` block."""

    def __init__(self, session: int) -> None:
        self.session, self.samples = session, MemorySamples()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        started_s = time.perf_counter()
        while True:
            self.samples.at_s.append(time.perf_counter() - started_s)
            self.samples.resident_mb.append(resident_mb(self.session))
            self.samples.device_mb.append(device_mb())
            if self._ended.wait(SAMPLE_INTERVAL_S):
                return


def resident_mb(session: int) -> float:
    """Return the anonymous resident memory of the processes of a session (Linux).

    Pages of mapped files are not counted, because the kernel can drop them.
    """
    total_kb = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rpartition(")")[2].split()[3]) != session:
                continue
            lines = (stat.parent / "status").read_text().splitlines()
        except (OSError, IndexError, ValueError):  # the process has ended
            continue
        total_kb += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    return total_kb * 1024 / BYTES_PER_MB


def device_mb() -> float:
    """Return the used memory of the first GPU, by all processes; 0 without a GPU."""
    if not torch.cuda.is_available():
        return 0.0
    free, total = torch.cuda.mem_get_info(0)
    return (total - free) / BYTES_PER_MB


def medians_mb(samples: Sequence[float]) -> list[float]:
    """Return the median of each of WINDOWS parts; an empty list if there are too few samples."""
    length = len(samples) // WINDOWS
    if not length:
        return []
    parts = (samples[length * index : length * (index + 1)] for index in range(WINDOWS))
    return [statistics.median(part) for part in parts]


def growth_mb(samples: Sequence[float]) -> float:
    """Return the highest of the later medians minus the first; 0 if there are too few samples."""
    first, *later = medians_mb(samples) or [0.0]
    return max(later, default=first) - first
