"""Computing time: the limit of a training must not depend on how busy the machine is."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable

import torch

MAX_LAP_S = 60.0  # on a GPU; a step takes much less, so that longer laps are interruptions


@dataclasses.dataclass
class ComputeClock:
    """Measure computing time: processor time on a CPU, wall time with a limit on a GPU.

    Attributes:
        now_s: reads the underlying clock.
        factor: computing seconds per second of that clock.
        max_lap_s: maximum that one lap counts.
        last_s: reading at the end of the last lap.
    """

    now_s: Callable[[], float]
    factor: float
    max_lap_s: float
    last_s: float = 0.0

    @classmethod
    def for_device(cls, device: torch.device, threads: int) -> ComputeClock:
        """Start a clock. The processor time of `threads` threads is divided by their number."""
        if device.type == "cpu":
            return cls(time.process_time, 1.0 / threads, math.inf, time.process_time())
        return cls(time.perf_counter, 1.0, MAX_LAP_S, time.perf_counter())

    def lap_s(self) -> float:
        """Return the computing seconds since the last lap."""
        previous_s, self.last_s = self.last_s, self.now_s()
        return min(self.factor * (self.last_s - previous_s), self.max_lap_s)
