"""Run a network over a photo in overlapping tiles of one size, and blend the results.

Results are blended in one horizontal band, so memory is bounded and no float copy of the whole
result exists. In `run_tiled` the photo stays in host memory as integers, and tiles are moved to the
device a batch at a time; `device_tiling` has the version for photos on the device. The outer
`margin_px` pixels of a tile lack context and have weight 0; next to them the weight rises linearly
over `FEATHER_PX` pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from restore.runtime.device import Runtime
from restore.runtime.memory import is_out_of_memory, release_cached_memory
from restore.runtime.output_checks import checked_output
from restore.runtime.tensors import quantise, to_planes

FEATHER_PX = 8
MAX_QUANTISED_ROWS = 128
"""Rows that are quantised at once, which bounds the size of the temporary float copies."""

Net = Callable[[Tensor], Tensor]
"""Nx3xHxW float in [0, 1] -> Nx3x(sH)x(sW)."""

Box = tuple[slice, slice]
"""Rows and columns."""


@dataclass(frozen=True)
class Axis:
    """The positions of the tiles along one side of the padded photo.

    Attributes:
        starts: first pixel of each tile, ascending, each a multiple of the network's size multiple.
        tile_px: length of every tile.
        padded_px: length of the side after padding.
        margin_px: pixels with weight 0 at each inner end of a tile.
    """

    starts: tuple[int, ...]
    tile_px: int
    padded_px: int
    margin_px: int


def plan_axis(
    side_px: int, tile_px: int, margin_px: int, multiple: int, *, fixed: bool = False
) -> Axis:
    """Plan the tiles along a side: the fewest that `tile_px` allows, each as short as possible.

    For example, a side of 800 takes two tiles of 440 instead of two of 512.

    Args:
        side_px: the photo's side, at least 1.
        tile_px: requested tile length, rounded up to `multiple` and at most the padded side;
            0 for one tile.
        margin_px: context that a tile needs at each inner end; reduced if the tile is too short.
        multiple: every tile length and start is a multiple of this.
        fixed: use exactly the requested length, for a network compiled for that shape.
    """
    padded_px = _round_up(side_px, multiple)
    length = min(_round_up(tile_px, multiple), padded_px) if tile_px else padded_px
    if length == padded_px:
        return Axis((0,), length, padded_px, 0)
    # Margins take at most a quarter of the tile each, so that every tile covers new pixels.
    margin = min(margin_px, (length - FEATHER_PX) // 4)
    stride_px = max(multiple, (length - 2 * margin - FEATHER_PX) // multiple * multiple)
    count = 1 + math.ceil((padded_px - length) / stride_px)
    if not fixed:
        overlap_px = length - stride_px
        length = min(
            length, _round_up(math.ceil((padded_px + (count - 1) * overlap_px) / count), multiple)
        )
    last = padded_px - length
    starts = tuple(
        sorted({last * index // (count - 1) // multiple * multiple for index in range(count)})
    )
    return Axis(starts, length, padded_px, margin)


def axis_weights(axis: Axis) -> list[np.ndarray]:
    """Return `tile_px` float32 weights per tile; at every pixel of the side they sum to 1."""
    position = np.arange(axis.tile_px)
    unscaled = []
    for index in range(len(axis.starts)):
        weight = np.ones(axis.tile_px)
        if index > 0:
            weight = np.minimum(weight, (position - axis.margin_px + 1) / (FEATHER_PX + 1))
        if index < len(axis.starts) - 1:
            weight = np.minimum(
                weight, (axis.tile_px - axis.margin_px - position) / (FEATHER_PX + 1)
            )
        unscaled.append(np.clip(weight, 0.0, 1.0))
    total = np.zeros(axis.padded_px)
    for start, weight in zip(axis.starts, unscaled, strict=True):
        total[start : start + axis.tile_px] += weight
    return [
        (weight / total[start : start + axis.tile_px]).astype(np.float32)
        for start, weight in zip(axis.starts, unscaled, strict=True)
    ]


def run_tiled(
    pixels: np.ndarray,
    net: Net,
    *,
    rows: Axis,
    columns: Axis,
    scale: int,
    runtime: Runtime,
    on_tile: Callable[[int, int], None],
    network: str = "unnamed",
    batch: int = 1,
) -> np.ndarray:
    """Run `net` over a photo in tiles and blend the results.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16. Grey is run as RGB and converted back.
        net: called with NxCxHxW tiles in [0, 1].
        rows, columns: the plans for height and width.
        scale: the network's scale factor.
        runtime: device and precision.
        on_tile: called as on_tile(done, total) after each tile.
        network: the network's name, for error messages.
        batch: number of tiles that go through the network at once; halved if memory runs out.

    Returns:
        (H*scale)x(W*scale)[x3] of the input's dtype, rounded half to even.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    height, width = pixels.shape[:2]
    padded = _pad(pixels, rows.padded_px - height, columns.padded_px - width)
    result = np.empty((height * scale, width * scale, *pixels.shape[2:]), pixels.dtype)

    def write(first: int, end: int, planes: Tensor) -> None:
        _quantise_into(result[first:end], planes)

    blend_tiles(
        lambda tile: to_planes(padded[tile], runtime.device)[None],
        write,
        net,
        rows=rows,
        columns=columns,
        size=(height, width),
        scale=scale,
        runtime=runtime,
        on_tile=on_tile,
        network=network,
        batch=batch,
    )
    return result


def blend_tiles(
    read: Callable[[Box], Tensor],
    write: Callable[[int, int, Tensor], None],
    net: Net,
    *,
    rows: Axis,
    columns: Axis,
    size: tuple[int, int],
    scale: int,
    runtime: Runtime,
    on_tile: Callable[[int, int], None],
    network: str,
    batch: int,
) -> None:
    """Run `net` over the tiles of a padded photo, and write the blended rows from top to bottom.

    Args:
        read: returns the 1x3xhxw float32 tile in [0, 1] at rows and columns of the padded photo.
        write: called as write(first, end, planes) with 3x(end-first)x(W*scale) finished rows.
        size: (H, W) of the photo without padding.
        net, rows, columns, scale, runtime, on_tile, network, batch: as in `run_tiled`.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    height, width = size[0] * scale, size[1] * scale
    next_tops = (*rows.starts[1:], rows.padded_px)
    row_weights = _upscaled_weights(rows, scale, runtime.device)
    column_weights = _upscaled_weights(columns, scale, runtime.device)
    band = torch.empty((3, rows.tile_px * scale, columns.padded_px * scale), device=runtime.device)
    overlap: Tensor | None = None
    boxes = [
        np.s_[top : top + rows.tile_px, left : left + columns.tile_px]
        for top in rows.starts
        for left in columns.starts
    ]
    outputs = _outputs(boxes, read, net, runtime, network, batch)
    for row, (top, next_top) in enumerate(zip(rows.starts, next_tops, strict=True)):
        band.zero_()
        for column, left in enumerate(columns.starts):
            target = band[:, :, left * scale : (left + columns.tile_px) * scale]
            target.addcmul_(next(outputs), column_weights[column])
            on_tile(row * len(columns.starts) + column + 1, len(boxes))
        band *= row_weights[row][:, None]
        if overlap is not None:
            band[:, : overlap.shape[1]] += overlap
        first, end = top * scale, min(next_top * scale, height)
        write(first, end, band[:, : end - first, :width])
        overlap = band[:, (next_top - top) * scale :].clone()


def _pad(pixels: np.ndarray, bottom_px: int, right_px: int) -> np.ndarray:
    """Pad by reflection at the bottom and the right; return the same array if there is none."""
    if not (bottom_px or right_px):
        return pixels
    padding = [(0, bottom_px), (0, right_px)] + [(0, 0)] * (pixels.ndim - 2)
    return np.pad(pixels, padding, mode="reflect")


def _outputs(
    boxes: Sequence[Box],
    read: Callable[[Box], Tensor],
    net: Net,
    runtime: Runtime,
    network: str,
    batch: int,
) -> Iterator[Tensor]:
    """Yield the network output of each tile, 3x(sH)x(sW) float32; see `blend_tiles`."""
    first = 0
    while first < len(boxes):
        tiles = torch.cat([read(box) for box in boxes[first : first + batch]])
        outputs = list[Tensor]()
        try:
            outputs = _forward(net, tiles, runtime, network)
        except Exception as error:
            if len(tiles) == 1 or not is_out_of_memory(error):
                raise
        # Outside of the handler, because the traceback would keep tensors alive.
        if outputs:
            first += len(tiles)
            yield from outputs
        else:
            batch = len(tiles) // 2
            del tiles
            release_cached_memory()


def _forward(net: Net, tiles: Tensor, runtime: Runtime, network: str) -> list[Tensor]:
    """Return the network output for each of Nx3xHxW tiles: 3x(sH)x(sW) float32."""
    batch = tiles.to(runtime.dtype)
    return [
        checked_output(output.float(), tile, network)
        for tile, output in zip(batch, net(batch), strict=True)
    ]


def _quantise_into(target: np.ndarray, planes: Tensor) -> None:
    """Quantise 3xHxW floats into HxW[x3] integers, MAX_QUANTISED_ROWS at a time."""
    for start in range(0, target.shape[0], MAX_QUANTISED_ROWS):
        rows = slice(start, start + MAX_QUANTISED_ROWS)
        target[rows] = quantise(planes[:, rows], target.dtype, grey=target.ndim == 2)


def _upscaled_weights(axis: Axis, scale: int, device: torch.device) -> list[Tensor]:
    """Return the weights of an axis at output resolution: each repeated `scale` times."""
    return [torch.from_numpy(np.repeat(weight, scale)).to(device) for weight in axis_weights(axis)]


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
