"""Run a network in tiles over a photo that is on the device; the result stays there."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from restore.runtime.device import Runtime
from restore.runtime.filters import mirror
from restore.runtime.levels import largest_level, luminance, to_levels, to_unit
from restore.runtime.tiling import Axis, Box, Net, blend_tiles


def run_tiled_on_device(
    levels: Tensor,
    net: Net,
    *,
    rows: Axis,
    columns: Axis,
    scale: int,
    runtime: Runtime,
    on_tile: Callable[[int, int], None],
    network: str = "unnamed",
    batch: int = 1,
) -> Tensor:
    """Run `net` over a photo in tiles and blend the results; see `tiling.run_tiled`.

    Args:
        levels: 1xCxHxW integers, uint8 or int32 (16 bits). Grey (C = 1) is run as RGB and converted
            back.
        net, rows, columns, scale, runtime, on_tile, network, batch: as in `run_tiled`.

    Returns:
        1xCx(H*scale)x(W*scale) of the same type, rounded half to even.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    channels, height, width = levels.shape[1:]
    largest = largest_level(levels)
    padded = mirror(levels, (0, rows.padded_px - height), (0, columns.padded_px - width))
    result = levels.new_empty((1, channels, height * scale, width * scale))

    def read(tile: Box) -> Tensor:
        return to_unit(padded[:, :, tile[0], tile[1]]).expand(-1, 3, -1, -1).contiguous()

    def write(first: int, end: int, planes: Tensor) -> None:
        values = planes[None].clamp(0.0, 1.0)
        values = luminance(values) if channels == 1 else values
        result[:, :, first:end] = to_levels(values * largest, levels)

    blend_tiles(
        read,
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
