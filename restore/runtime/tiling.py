"""Plan, gather and blend tiles of one fixed size, so that a photo of any size meets one shape and bounded memory.

The photo stays in host memory as integers; tiles travel to the device and results are blended in one horizontal band at a
time, so the float copy of a result never exists as a whole. A tile's outer `margin_px` pixels, where it lacks the context
that the whole photo would have given, count nothing; next to them the weight rises linearly over `FEATHER_PX`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.errors import Code, RestoreError
from restore.runtime.device import Runtime
from restore.runtime.output_checks import sound

FEATHER_PX = 8
QUANTISED_ROWS = 128  # rows turned into integers at once: their float copies are the size of this, not of the band

Net = Callable[[Tensor], Tensor]
"""Nx3xHxW float in [0, 1] -> Nx3x(sH)x(sW)."""


@dataclass(frozen=True)
class Axis:
    """Tiles along one side of the (padded) photo.

    Attributes:
        starts: first pixel of each tile, ascending, each a multiple of the net's size multiple.
        tile_px: length of every tile.
        padded_px: length of the side after padding.
        margin_px: pixels at each inner end of a tile that count nothing.
    """

    starts: tuple[int, ...]
    tile_px: int
    padded_px: int
    margin_px: int


def plan_axis(
    side_px: int, tile_px: int, margin_px: int, multiple: int, *, fixed: bool = False
) -> Axis:
    """Places tiles along a side of `side_px` pixels.

    As few tiles as `tile_px` allows, and these no longer than they need be: a side of 800 takes two tiles of 440, not of 512.

    Args:
        side_px: the photo's side, at least 1.
        tile_px: wanted tile length; 0 for one tile. Rounded up to `multiple`, never longer than the side needs.
        margin_px: context that a tile needs at each inner end; reduced when a tile is too short to spare it.
        multiple: every tile length and start is a multiple of this.
        fixed: every tile of the length wanted, for a network that is compiled for it.
    """
    padded_px = _round_up(side_px, multiple)
    length = min(_round_up(tile_px, multiple), padded_px) if tile_px else padded_px
    if length == padded_px:
        return Axis((0,), length, padded_px, 0)
    # At least half of a tile must advance, whatever the margin would like.
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
    """One float32 array of `tile_px` weights per tile; at every pixel of the side the tiles' weights add up to 1."""
    position = np.arange(axis.tile_px)
    raw = []
    for index in range(len(axis.starts)):
        weight = np.ones(axis.tile_px)
        if index > 0:
            weight = np.minimum(weight, (position - axis.margin_px + 1) / (FEATHER_PX + 1))
        if index < len(axis.starts) - 1:
            weight = np.minimum(
                weight, (axis.tile_px - axis.margin_px - position) / (FEATHER_PX + 1)
            )
        raw.append(np.clip(weight, 0.0, 1.0))
    total = np.zeros(axis.padded_px)
    for start, weight in zip(axis.starts, raw, strict=True):
        total[start : start + axis.tile_px] += weight
    return [
        (w / total[s : s + axis.tile_px]).astype(np.float32)
        for s, w in zip(axis.starts, raw, strict=True)
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
) -> np.ndarray:
    """Runs `net` over the photo in tiles.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16. A grey photo goes through the net as three equal channels and comes back as
            their luminance.
        net: the network, fed float tiles in [0, 1].
        rows, columns: plans for height and width.
        scale: the net's own factor.
        runtime: device, precision and number of tiles per forward.
        on_tile: called as on_tile(done, total).
        network: its name, for an error.

    Returns:
        (H*scale)x(W*scale)[x3] of the input's dtype, rounded half to even.

    Raises:
        RestoreError: BAD_NUMBERS when the net's answer is none.
    """
    height, width = pixels.shape[:2]
    padding = [(0, rows.padded_px - height), (0, columns.padded_px - width)] + [(0, 0)] * (
        pixels.ndim - 2
    )
    padded = (
        np.pad(pixels, padding, mode="reflect") if any(after for _, after in padding) else pixels
    )
    result = np.empty((height * scale, width * scale, *pixels.shape[2:]), pixels.dtype)
    weights_y, weights_x = (_stretched(axis, scale, runtime.device) for axis in (rows, columns))
    total = len(rows.starts) * len(columns.starts)
    done = 0
    carry: Tensor | None = None
    band = torch.empty((3, rows.tile_px * scale, columns.padded_px * scale), device=runtime.device)
    for row, top in enumerate(rows.starts):
        band.zero_()
        for first in range(0, len(columns.starts), runtime.tile_batch):
            lefts = columns.starts[first : first + runtime.tile_batch]
            tiles = [
                padded[top : top + rows.tile_px, left : left + columns.tile_px] for left in lefts
            ]
            outputs = _forward(net, tiles, runtime, network)
            for index, left in enumerate(lefts):
                target = band[:, :, left * scale : (left + columns.tile_px) * scale]
                target.addcmul_(outputs[index], weights_x[first + index])
            done += len(lefts)
            on_tile(done, total)
        if len(rows.starts) > 1:
            band *= weights_y[row][:, None]
        if carry is not None:
            band[:, : carry.shape[1]] += carry
        next_top = rows.starts[row + 1] if row + 1 < len(rows.starts) else rows.padded_px
        finished = min(next_top * scale, result.shape[0]) - top * scale
        for start in range(0, finished, QUANTISED_ROWS):
            stop = min(start + QUANTISED_ROWS, finished)
            ready = band[:, start:stop, : result.shape[1]]
            result[top * scale + start : top * scale + stop] = quantise(
                ready, pixels.dtype, grey=pixels.ndim == 2
            )
        carry = band[:, (next_top - top) * scale :].clone()
    return result


def run_official_tiles(
    pixels: np.ndarray,
    net: Net,
    *,
    scale: int,
    multiple: int,
    runtime: Runtime,
    tile_px: int = 0,
    tile_pad_px: int = 10,
    pre_pad_px: int = 0,
) -> np.ndarray:
    """Real-ESRGAN's own rule (RealESRGANer.enhance), for conformance: padded at the right and bottom, tiles cut hard.

    Args and result as for `run_tiled`; `tile_px` 0 means untiled, `tile_pad_px` is the context around each tile and
    `pre_pad_px` a reflected border added to the photo before the size multiple is met.

    Raises:
        RestoreError: OPTION_INVALID when a tile would break the net's size multiple.
    """
    if tile_px and (tile_px % multiple or tile_pad_px % multiple):
        reason = (
            f"a tile of {tile_px} pixels with {tile_pad_px} around it is no multiple of {multiple}"
        )
        raise RestoreError(
            Code.OPTION_INVALID, reason, f"This net takes tiles in multiples of {multiple}."
        )
    height, width = pixels.shape[:2]
    image = to_tensor(pixels, runtime)[None]
    image = (
        torch.nn.functional.pad(image, (0, pre_pad_px, 0, pre_pad_px), "reflect")
        if pre_pad_px
        else image
    )
    padded_h, padded_w = (_round_up(side, multiple) for side in image.shape[2:])
    if (padded_h, padded_w) != tuple(image.shape[2:]):
        image = torch.nn.functional.pad(
            image, (0, padded_w - image.shape[3], 0, padded_h - image.shape[2]), "reflect"
        )
    if tile_px == 0:
        output = net(image)
    else:
        output = image.new_zeros((1, 3, padded_h * scale, padded_w * scale))
        for top in range(0, padded_h, tile_px):
            for left in range(0, padded_w, tile_px):
                bottom, right = min(top + tile_px, padded_h), min(left + tile_px, padded_w)
                y0, y1 = max(top - tile_pad_px, 0), min(bottom + tile_pad_px, padded_h)
                x0, x1 = max(left - tile_pad_px, 0), min(right + tile_pad_px, padded_w)
                tile = net(image[:, :, y0:y1, x0:x1])
                inner_y = slice((top - y0) * scale, (bottom - y0) * scale)
                inner_x = slice((left - x0) * scale, (right - x0) * scale)
                output[:, :, top * scale : bottom * scale, left * scale : right * scale] = tile[
                    :, :, inner_y, inner_x
                ]
    return quantise(
        output[0, :, : height * scale, : width * scale], pixels.dtype, grey=pixels.ndim == 2
    )


def to_tensor(pixels: np.ndarray, runtime: Runtime) -> Tensor:
    """HxW or HxWx3 integers -> 3xHxW float in [0, 1] on the device."""
    full = float(np.iinfo(pixels.dtype).max)
    # A copy, as the photo may be read-only; 16 bits as int32, as torch computes little with uint16.
    host = pixels.astype(np.int32 if pixels.dtype == np.uint16 else pixels.dtype)
    tensor = torch.from_numpy(host).to(runtime.device).to(torch.float32) / full
    planes = tensor.expand(3, *tensor.shape) if pixels.ndim == 2 else tensor.permute(2, 0, 1)
    return planes.contiguous()


def quantise(planes: Tensor, dtype: np.dtype, *, grey: bool) -> np.ndarray:
    """3xHxW float -> HxWx3 (or HxW luminance) integers on the host, clamped, rounded half to even."""
    full = float(np.iinfo(dtype).max)
    image = planes.float().clamp(0.0, 1.0).permute(1, 2, 0)
    if grey:
        luminance = cv2.cvtColor(np.ascontiguousarray(image.cpu().numpy()), cv2.COLOR_RGB2GRAY)
        return np.asarray(np.rint(luminance * np.float32(full)), dtype)
    levels = (image * full).round()
    if dtype == np.uint8:
        return levels.to(torch.uint8).cpu().numpy()
    return levels.to(torch.int32).cpu().numpy().astype(dtype)


def _forward(net: Net, tiles: list[np.ndarray], runtime: Runtime, network: str) -> Tensor:
    seen = torch.stack([to_tensor(tile, runtime) for tile in tiles]).to(runtime.dtype)
    return sound(net(seen).float(), seen, network)


def _stretched(axis: Axis, scale: int, device: torch.device) -> list[Tensor]:
    """The axis' weights at output resolution: each input pixel's weight for its `scale` output pixels."""
    return [torch.from_numpy(np.repeat(weight, scale)).to(device) for weight in axis_weights(axis)]


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
