"""Figures of the evaluation: perceptual quality, colour shift and computing time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.perceptual import missing_packages
from benchmarks.quality import figures_of, mean_of
from restore.imaging.convert import to_grey
from training.provenance import Figures
from training.recipe import Photo

MAX_PSNR_DB = 10.0 * math.log10(255.0**2 / 1e-6)
"""Limits the PSNR of equal photos, so that means over photos are finite."""
JUDGED = ("ssim", "ssimulacra2", "flip", "gmsd", "niqe")
JUDGED_SMALL = ("ssim", "ssimulacra2", "flip", "gmsd")
"""For photos of 256 px, whose four blocks of 96 px are too few for NIQE."""
DETAIL_SIGMA_PX = 1.5


def judge(pairs: Iterable[tuple[Photo, Photo]], names: Sequence[str] = JUDGED) -> dict[str, float]:
    """Return the means of quality figures of benchmarks/quality.py over (photo, original) pairs.

    Args:
        pairs: photos and their originals of the same size; none of them equal to its original if
            PSNR is asked for.
        names: the figures.

    Raises:
        SystemExit: a package that computes a figure is not installed.
    """
    if missing := missing_packages():
        raise SystemExit(". ".join(missing.values()))
    rows = [figures_of(original, photo) for photo, original in pairs]
    means = mean_of(rows)
    return round_figures({name: getattr(means, name) for name in names}) | {"photos": len(rows)}


def judge_methods(
    prefix: str,
    outputs: Mapping[str, Sequence[Photo]],
    originals: Sequence[Photo],
    names: Sequence[str] = JUDGED,
) -> Figures:
    """Return one row of quality figures per method, named `<prefix>_<method>`.

    Args:
        prefix: name of the test set.
        outputs: the photos of each method, in the order of the originals.
        originals: the clean photos.
        names: the figures.
    """
    return {
        f"{prefix}_{method}": judge(zip(photos, originals, strict=True), names)
        for method, photos in outputs.items()
    }


def colour_shift_levels(before: Photo, after: Photo) -> float:
    """Largest change of the mean of a channel, in levels of 255."""
    return float(np.abs(after.mean(axis=(0, 1)) - before.mean(axis=(0, 1))).max())


def fine_detail(photo: Photo, mask: np.ndarray | None = None) -> float:
    """Return the root mean square, in levels, of what a slight blur removes from the luminance.

    Relative to that of the original, 1 is right, less looks waxy, and more is noise.

    Args:
        photo: HxWx3 uint8.
        mask: HxW bool, the pixels that count; default: all.
    """
    grey = to_grey(photo).astype(np.float32)
    detail = grey - cv2.GaussianBlur(grey, (0, 0), DETAIL_SIGMA_PX)
    return float(np.sqrt(np.square(detail if mask is None else detail[mask]).mean()))


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
