"""Run a network over a photo in tiles that fit into memory, and report what was done."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from restore.models.catalog import Checkpoint
from restore.models.loader import Model
from restore.pipelines.context import StepContext
from restore.runtime.device_tiling import run_tiled_on_device
from restore.runtime.memory import (
    affordable_batch,
    affordable_tile,
    free_memory_bytes,
    retry_with_smaller_tiles,
)
from restore.runtime.tiling import FEATHER_PX, Axis, Net, plan_axis, run_tiled

PixelsT = TypeVar("PixelsT")
"""An array on the host, or a tensor on the device."""


def run_network(
    pixels: np.ndarray, net: Net, row: Checkpoint, tile_px: int, context: StepContext
) -> np.ndarray:
    """Run a network over a photo in tiles; use smaller tiles if memory is short.

    Tile sizes, retries and reduced margins are recorded in the report.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16.
        net: the network, called with NxCxHxW tensors in [0, 1].
        row: the manifest row of the network.
        tile_px: side of a tile in pixels of the photo; 0 for the whole photo.
        context: the step's context.

    Returns:
        (H*scale)x(W*scale)[x3] of the input's dtype.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    run = functools.partial(run_tiled, pixels)
    return _run_in_tiles(run, (pixels.shape[0], pixels.shape[1]), net, row, tile_px, context)


def run_network_on_device(
    levels: Tensor, net: Net, row: Checkpoint, tile_px: int, context: StepContext
) -> Tensor:
    """Run a network over a photo on the device; otherwise as `run_network`.

    Args:
        levels: 1xCxHxW integers, uint8 or int32.
        net, row, tile_px, context: as in `run_network`.

    Returns:
        1xCx(H*scale)x(W*scale) of the same type.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    run = functools.partial(run_tiled_on_device, levels)
    return _run_in_tiles(run, (levels.shape[2], levels.shape[3]), net, row, tile_px, context)


def _run_in_tiles(
    run: Callable[..., PixelsT],
    size: tuple[int, int],
    net: Net,
    row: Checkpoint,
    tile_px: int,
    context: StepContext,
) -> PixelsT:
    """Call `run` for a photo of (height, width), with smaller tiles each time memory runs out."""
    tile_px = _tile_that_fits(*size, row, tile_px, context)

    def on_retry(failed_px: int, next_px: int) -> None:
        context.report.warn(
            f"memory ran out with tiles of {failed_px} pixels; continued with {next_px}"
        )

    def attempt(size_px: int) -> PixelsT:
        return _run_with_tile_size(run, size, net, row, size_px, context)

    with torch.inference_mode():
        return retry_with_smaller_tiles(attempt, tile_px, max(size), on_retry)


def as_function(model: Model) -> Net:
    """Return the model's network as a function of a tensor."""

    def forward(tiles: Tensor) -> Tensor:
        output: Tensor = model.net(tiles)
        return output

    return forward


def _run_with_tile_size(
    run: Callable[..., PixelsT],
    size: tuple[int, int],
    net: Net,
    row: Checkpoint,
    tile_px: int,
    context: StepContext,
) -> PixelsT:
    # Compiled networks accept one shape only.
    fixed = any(
        shape[-1] == tile_px
        for model in context.models.values()
        if model.row is row
        for shape in model.compiled_shapes
    )
    rows, columns = (
        plan_axis(side_px, tile_px, row.tile_margin_px, row.size_multiple, fixed=fixed)
        for side_px in size
    )
    tiled_axes = [axis for axis in (rows, columns) if len(axis.starts) > 1]
    _warn_of_seams(tiled_axes, row, tile_px, context)
    batch = _batch_of_tiles(rows, columns, row, context)
    result = run(
        net,
        rows=rows,
        columns=columns,
        scale=row.scale,
        runtime=context.runtime,
        on_tile=lambda done, total: context.progress("tiles", done, total),
        network=row.file,
        batch=batch,
    )
    context.report.tiles.append(
        {
            "height": rows.tile_px,
            "width": columns.tile_px,
            "count": len(rows.starts) * len(columns.starts),
            "margin_px": max((axis.margin_px for axis in tiled_axes), default=0),
        }
    )
    return result


def _batch_of_tiles(rows: Axis, columns: Axis, row: Checkpoint, context: StepContext) -> int:
    """Return how many tiles go through the network at once; the report says it."""
    count = len(rows.starts) * len(columns.starts)
    if count == 1 or not context.runtime.batches_tiles:
        return 1
    batch = affordable_batch(
        count,
        rows.tile_px * columns.tile_px,
        row.working_bytes_per_px or 0,
        free_memory_bytes(context.runtime.device),
    )
    if batch > 1:
        context.report.add_profile_effect(f"up to {batch} tiles went through the network at once")
    return batch


def _warn_of_seams(
    tiled_axes: Sequence[Axis], row: Checkpoint, tile_px: int, context: StepContext
) -> None:
    if tiled_axes and not row.tiles:
        context.report.warn(
            "this network uses averages over its whole input, so tiles change the result slightly;"
            " use tile_size 0 for the exact result"
        )
    elif any(axis.margin_px < row.tile_margin_px for axis in tiled_axes):
        seamless_px = 4 * row.tile_margin_px + FEATHER_PX
        context.report.warn(
            f"tiles of {tile_px} pixels have less context than this network uses, so seams may be"
            f" visible; use a tile_size of at least {seamless_px}"
        )


def _tile_that_fits(
    height: int, width: int, row: Checkpoint, tile_px: int, context: StepContext
) -> int:
    """Return the requested tile size, or a smaller one (with a warning) if memory is short."""
    bytes_per_px = row.working_bytes_per_px
    if not bytes_per_px:
        return tile_px
    free_bytes = free_memory_bytes(context.runtime.device)
    affordable_px = affordable_tile(tile_px, height, width, bytes_per_px, free_bytes)
    if affordable_px != tile_px:
        needed = (
            f"{height * width * bytes_per_px / 1e9:.1f} GB"
            if tile_px == 0
            else f"tiles of {tile_px} pixels"
        )
        context.report.warn(
            f"{needed} would not fit into {free_bytes / 1e9:.1f} GB of free memory;"
            f" continued with tiles of {affordable_px} pixels"
        )
    return affordable_px
