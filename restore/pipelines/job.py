"""What every pipeline is handed with a photo, and the step they share: a network over a photo in tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.models import Model
from restore.report import Report
from restore.runtime import Progress, Runtime, affordable_tile, free_memory_bytes, silent, with_smaller_tiles
from restore.tiling import FEATHER_PX, Net, plan_axis, run_tiled


@dataclass(frozen=True)
class Job:
    """One photo's way through one task."""

    model: Model
    runtime: Runtime
    report: Report
    progress: Progress = silent


def tiled(pixels: np.ndarray, net: Net, scale: int, tile_px: int, job: Job) -> np.ndarray:
    """Runs `net` over HxW[x3] integers in tiles of `tile_px` (0: whole), in smaller ones where memory does not suffice.

    What was done goes to the job's report: tile size and count, retries, margins that a small tile could not afford.
    """
    row, report = job.model.row, job.report
    height, width = pixels.shape[:2]

    def attempt(size_px: int) -> np.ndarray:
        rows = plan_axis(height, size_px, row.tile_margin_px, row.size_multiple)
        columns = plan_axis(width, size_px, row.tile_margin_px, row.size_multiple)
        cut = [axis for axis in (rows, columns) if len(axis.starts) > 1]
        if cut and not row.tiles:
            report.warn("this network averages over all that it sees: tiles change its result a little; tile_size 0 is exact")
        elif any(axis.margin_px < row.tile_margin_px for axis in cut):
            wanted = 4 * row.tile_margin_px + FEATHER_PX
            report.warn(f"tiles of {size_px} pixels leave less context than this network wants; from {wanted} on there are no seams")
        result = run_tiled(
            pixels,
            net,
            rows=rows,
            columns=columns,
            scale=scale,
            runtime=job.runtime,
            on_tile=lambda done, total: job.progress("tiles", done, total),
        )
        margins = max((axis.margin_px for axis in cut), default=0)
        count = len(rows.starts) * len(columns.starts)
        report.tiles.append({"height": rows.tile_px, "width": columns.tile_px, "count": count, "margin_px": margins})
        return result

    if row.working_bytes_per_px:
        free_bytes = free_memory_bytes(job.runtime.device)
        affordable_px = affordable_tile(tile_px, height, width, row.working_bytes_per_px, free_bytes)
        if affordable_px != tile_px:
            needed = f"{height * width * row.working_bytes_per_px / 1e9:.1f} GB" if tile_px == 0 else f"tiles of {tile_px} pixels"
            report.warn(f"{needed} would not fit into {free_bytes / 1e9:.1f} GB of free memory; continued with tiles of {affordable_px}")
            tile_px = affordable_px

    def on_retry(failed_px: int, next_px: int) -> None:
        report.warn(f"memory ran out with tiles of {failed_px} pixels; continued with {next_px}")

    with torch.inference_mode():
        return with_smaller_tiles(attempt, tile_px, max(height, width), on_retry)


def blended(result: np.ndarray, original: np.ndarray, strength: float, resize: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """strength * result + (1 - strength) * original, the original brought to the result's size by `resize`."""
    if strength == 1.0:
        return result
    base = resize(original)
    return cv2.addWeighted(result, strength, base, 1.0 - strength, 0.0)


def module_net(job: Job) -> Net:
    """The job's network as a plain function of a tensor."""

    def forward(tiles: Tensor) -> Tensor:
        output: Tensor = job.model.net(tiles)
        return output

    return forward
