"""Figures of the evaluation: gradient similarity, colour shift and computing time."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from training.recipe import Photo

MAX_PSNR_DB = 10.0 * math.log10(255.0**2 / 1e-6)
"""Limits the PSNR of equal photos, so that means over photos are finite."""
GMSD_CONSTANT = 170.0


def gmsd(first: Photo, second: Photo) -> float:
    """Gradient magnitude similarity deviation (Xue et al., TIP 2014); 0 for equal photos."""
    gradients = []
    for image in (first, second):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
        halved = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        prewitt = np.array([[1, 0, -1]] * 3, np.float64) / 3.0
        gradients.append(
            np.hypot(cv2.filter2D(halved, -1, prewitt), cv2.filter2D(halved, -1, prewitt.T))
        )
    numerator = 2 * gradients[0] * gradients[1] + GMSD_CONSTANT
    similarity = numerator / (gradients[0] ** 2 + gradients[1] ** 2 + GMSD_CONSTANT)
    return float(similarity.std())


def colour_shift_levels(before: Photo, after: Photo) -> float:
    """Largest change of the mean of a channel, in levels of 255."""
    return float(np.abs(after.mean(axis=(0, 1)) - before.mean(axis=(0, 1))).max())


def measure_cost(
    net: nn.Module,
    example: Tensor,
    colour_shifts: list[float] | None = None,
    *,
    references: Mapping[str, nn.Module] | None = None,
    repeats: int = 5,
) -> dict[str, float]:
    """Measure the processor time of one core per megapixel of input, the minimum of several runs.

    Reference networks run alternately with the network, so that other load affects all alike.

    Args:
        net: the network.
        example: its input.
        colour_shifts: colour shifts of its outputs; their mean is added to the figures.
        references: networks that are measured too, by name.
        repeats: number of runs.
    """
    nets = {"": net, **{f"{name}_": other for name, other in (references or {}).items()}}
    threads, seconds = torch.get_num_threads(), dict.fromkeys(nets, math.inf)
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            for _ in range(repeats):
                for prefix, measured in nets.items():
                    start_s = time.process_time()
                    measured(example)
                    seconds[prefix] = min(seconds[prefix], time.process_time() - start_s)
    finally:
        torch.set_num_threads(threads)
    megapixels = example.shape[0] * example.shape[-2] * example.shape[-1] / 1e6
    figures = {
        f"{prefix}cpu_s_per_megapixel": value / megapixels for prefix, value in seconds.items()
    }
    if colour_shifts:
        figures["colour_shift_levels"] = float(np.mean(colour_shifts))
    return round_figures(figures)


def round_figures(figures: Mapping[str, float]) -> dict[str, float]:
    """Round to four decimals, more than the precision of any of these figures."""
    return {key: round(float(value), 4) for key, value in figures.items()}
