"""What every pipeline is handed with a photo, and the step they share: a network over a photo in tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.errors import RestoreError
from restore.faces.detect import Detector
from restore.imaging.photo import Photo
from restore.models.catalog import Checkpoint
from restore.models.loader import Model
from restore.report import Report
from restore.runtime.device import (
    Progress,
    Runtime,
    affordable_tile,
    coded_memory_errors,
    free_memory_bytes,
    silent,
    with_smaller_tiles,
)
from restore.runtime.tiling import FEATHER_PX, Net, plan_axis, run_tiled

TaskOption = TypeVar("TaskOption")


@dataclass(frozen=True)
class Job:
    """One photo's way through one task.

    Attributes:
        models: the networks that the task asked for, by their catalog task.
        detector: what finds faces, where the task asked for that.
        mask: HxW bool of the photo's size, True where it is to be filled, where the request has one.
        masks_found: where a step that finds scratches puts their mask, if it is to be returned.
        official_quirks: faults of the official code that are mended otherwise; for conformance tests alone.
    """

    models: Mapping[str, Model]
    runtime: Runtime
    report: Report
    progress: Progress = silent
    detector: Detector | None = None
    mask: np.ndarray | None = None
    masks_found: list[Photo] = field(default_factory=list)
    official_quirks: bool = False

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What fails in the block is an error about this job's photo.

        Raises:
            RestoreError: what the block raises; OUT_OF_MEMORY where memory runs out.
        """
        try:
            with coded_memory_errors(self.report.photo, "restoring"):
                yield
        except RestoreError as error:
            raise error.about(self.report.photo) from error


def photo_by_photo(
    run: Callable[[Photo, TaskOption, Job], Photo],
) -> Callable[[Sequence[Photo], TaskOption, Sequence[Job]], list[Photo]]:
    """Work on one photo as work on a request: one photo after the other, each error about its own."""

    def run_all(photos: Sequence[Photo], options: TaskOption, jobs: Sequence[Job]) -> list[Photo]:
        done = []
        for index, (photo, job) in enumerate(zip(photos, jobs, strict=True)):
            job.progress("photos", index, len(photos))
            with job.guarded():
                done.append(run(photo, options, job))
        return done

    return run_all


def tiled(pixels: np.ndarray, net: Net, row: Checkpoint, tile_px: int, job: Job) -> np.ndarray:
    """Runs `net`, which has the facts of `row`, over HxW[x3] integers in tiles of `tile_px` (0: whole photo).

    Where memory does not suffice, the tiles become smaller.

    What was done goes to the job's report: tile size and count, retries, margins that a small tile could not afford.
    """
    report = job.report
    height, width = pixels.shape[:2]

    def attempt(size_px: int) -> np.ndarray:
        fixed = any(
            shape[-1] == size_px
            for model in job.models.values()
            if model.row is row
            for shape in model.compiled_shapes
        )
        rows, columns = (
            plan_axis(side_px, size_px, row.tile_margin_px, row.size_multiple, fixed=fixed)
            for side_px in (height, width)
        )
        cut = [axis for axis in (rows, columns) if len(axis.starts) > 1]
        if cut and not row.tiles:
            report.warn(
                "this network averages over all that it sees: tiles change its result a little; tile_size 0 is exact"
            )
        elif any(axis.margin_px < row.tile_margin_px for axis in cut):
            wanted = 4 * row.tile_margin_px + FEATHER_PX
            report.warn(
                f"tiles of {size_px} pixels leave less context than this network wants; from {wanted} on there are no seams"
            )
        result = run_tiled(
            pixels,
            net,
            rows=rows,
            columns=columns,
            scale=row.scale,
            runtime=job.runtime,
            on_tile=lambda done, total: job.progress("tiles", done, total),
            network=row.file,
        )
        margins = max((axis.margin_px for axis in cut), default=0)
        count = len(rows.starts) * len(columns.starts)
        report.tiles.append(
            {"height": rows.tile_px, "width": columns.tile_px, "count": count, "margin_px": margins}
        )
        return result

    if row.working_bytes_per_px:
        free_bytes = free_memory_bytes(job.runtime.device)
        affordable_px = affordable_tile(
            tile_px, height, width, row.working_bytes_per_px, free_bytes
        )
        if affordable_px != tile_px:
            needed = (
                f"{height * width * row.working_bytes_per_px / 1e9:.1f} GB"
                if tile_px == 0
                else f"tiles of {tile_px} pixels"
            )
            report.warn(
                f"{needed} would not fit into {free_bytes / 1e9:.1f} GB of free memory; continued with tiles of {affordable_px}"
            )
            tile_px = affordable_px

    def on_retry(failed_px: int, next_px: int) -> None:
        report.warn(f"memory ran out with tiles of {failed_px} pixels; continued with {next_px}")

    with torch.inference_mode():
        return with_smaller_tiles(attempt, tile_px, max(height, width), on_retry)


def blended(
    result: np.ndarray,
    original: np.ndarray,
    strength: float,
    resize: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """strength * result + (1 - strength) * original, the original brought to the result's size by `resize`."""
    if strength == 1.0:
        return result
    base = resize(original)
    return cv2.addWeighted(result, strength, base, 1.0 - strength, 0.0)


def module_net(model: Model) -> Net:
    """The model's network as a plain function of a tensor."""

    def forward(tiles: Tensor) -> Tensor:
        output: Tensor = model.net(tiles)
        return output

    return forward


def eight_bits(pixels: np.ndarray) -> np.ndarray:
    """HxW[x3] integers -> the same of 8 bits: what networks see that find things. 16 bits are rounded."""
    return (
        pixels
        if pixels.dtype == np.uint8
        else np.asarray(cv2.convertScaleAbs(pixels, alpha=1 / 257))
    )


def in_colour(pixels: np.ndarray) -> np.ndarray:
    """HxW or HxWx3 -> HxWx3."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
