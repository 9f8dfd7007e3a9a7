# ruff: noqa: ANN001, ANN202, SIM108 - Triton finds the kernels' types, and has its own conditions
# mypy: disallow-untyped-defs=false, disallow-incomplete-defs=false, disallow-untyped-calls=false, disallow-untyped-decorators=false
"""Triton kernels for channels-last features in half precision: what cuDNN and inductor are slow at on a Hopper GPU.

`spread_conv`: a 3x3 convolution whose many outputs are finished layers or running sums of later ones (dense blocks). `depthwise_gate`:
a 3x3 depthwise convolution and NAFNet's gate. `add_norm`: a sum and its layer norm. All sums are float32. The two of NAFNet have a
plain way in torch beside them, which runs where a tensor is not on CUDA.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn import functional as F


@triton.jit
def _finish(
    acc, bias, sums, out, skip, base, row, cols, width, slope, scale,
    start: tl.constexpr, count: tl.constexpr,
    out_width: tl.constexpr, skip_width: tl.constexpr, sums_width: tl.constexpr, sums_from: tl.constexpr,
    finished: tl.constexpr, keeps: tl.constexpr, has_bias: tl.constexpr, reads: tl.constexpr, activates: tl.constexpr,
    has_skip: tl.constexpr, has_base: tl.constexpr,
):  # fmt: skip
    """Stores `count` outputs of a tile, from output `start` on: the first `finished` of all to `out`, the others to `sums`."""
    channel = start + tl.arange(0, count)
    pixel = (row * width + cols).to(tl.int64)[:, None]
    inside = (cols < width)[:, None]
    if has_bias:
        acc += tl.load(bias + channel)[None, :].to(tl.float32)
    if reads:
        acc += tl.load(sums + pixel * sums_width + sums_from + channel[None, :], mask=inside, other=0.0).to(tl.float32)
    if start < finished:
        value = acc
        mine = inside & (channel < finished)[None, :]
        if activates:
            value = tl.where(value >= 0, value, value * slope)
        if has_skip:
            value += tl.load(skip + pixel * skip_width + channel[None, :], mask=mine, other=0.0).to(tl.float32)
        if has_base:
            value = value * scale + tl.load(base + pixel * skip_width + channel[None, :], mask=mine, other=0.0).to(tl.float32)
        tl.store(out + pixel * out_width + channel[None, :], value.to(out.dtype.element_ty), mask=mine)
    if keeps and start + count > finished:
        later = inside & (channel >= finished)[None, :]
        tl.store(sums + pixel * sums_width + sums_from + channel[None, :], acc.to(sums.dtype.element_ty), mask=later)


@triton.jit
def _spread_conv(
    x, weight, bias, sums, out, skip, base, height, width, slope, scale,
    inner: tl.constexpr, x_width: tl.constexpr, out_width: tl.constexpr, skip_width: tl.constexpr,
    sums_width: tl.constexpr, sums_from: tl.constexpr,
    finished: tl.constexpr, total: tl.constexpr, keeps: tl.constexpr, first: tl.constexpr, second: tl.constexpr,
    has_bias: tl.constexpr, reads: tl.constexpr, activates: tl.constexpr, has_skip: tl.constexpr, has_base: tl.constexpr,
    enlarges: tl.constexpr, block: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """A tile of `block` pixels of a row; its outputs in two pieces of `first` and `second`, for which the input is read once."""
    row = tl.program_id(0)
    cols = tl.program_id(1) * block + tl.arange(0, block)
    image, y = row // height, row % height
    channel = tl.arange(0, inner)
    acc = tl.zeros((block, first), tl.float32)
    more = tl.zeros((block, second if second else 16), tl.float32)
    for tap in tl.range(9, num_stages=stages):
        yy = y + tap // 3 - 1
        xx = cols + tap % 3 - 1
        inside = (yy >= 0) & (yy < height) & (xx >= 0) & (xx < width)
        if enlarges:
            pixel = (image * (height // 2) + yy // 2) * (width // 2) + xx // 2
        else:
            pixel = (image * height + yy) * width + xx
        seen = tl.load(x + pixel[:, None] * x_width + channel[None, :], mask=inside[:, None], other=0.0)
        rows = weight + (tap * inner + channel)[:, None] * total
        acc = tl.dot(seen, tl.load(rows + tl.arange(0, first)[None, :]), acc)
        if second:
            more = tl.dot(seen, tl.load(rows + first + tl.arange(0, second)[None, :]), more)
    _finish(
        acc, bias, sums, out, skip, base, row, cols, width, slope, scale, 0, first, out_width, skip_width, sums_width, sums_from,
        finished, keeps, has_bias, reads, activates, has_skip, has_base,
    )  # fmt: skip
    if second:
        _finish(
            more, bias, sums, out, skip, base, row, cols, width, slope, scale, first, second, out_width, skip_width, sums_width, sums_from,
            finished, keeps, has_bias, reads, activates, has_skip, has_base,
        )  # fmt: skip


PIECES = {16: (16, 0), 32: (32, 0), 64: (64, 0), 96: (64, 32), 128: (128, 0), 160: (128, 32), 192: (128, 64)}
"""How many outputs are computed together, by their number: powers of two."""


WAYS = ((128, 8, 3), (128, 8, 4), (128, 4, 3), (128, 4, 4), (64, 4, 3), (64, 4, 4), (256, 8, 3))
"""Pixels and warps of a program and stages of its loads that `tuned` tries; the first serves where nothing was tried."""
TRIED: dict[tuple[int, int, bool], tuple[int, int, int]] = {
    (64, 192, False): (64, 4, 3),
    (32, 32, False): (256, 8, 3),
    (64, 128, False): (64, 4, 3),
    (64, 64, False): (128, 8, 3),
    (64, 64, True): (128, 4, 3),
    (64, 16, False): (128, 8, 3),
}
"""The fastest way found, by inputs, outputs and whether the input is enlarged: on an H100 at 512 px, until it is cleared."""
_TRIES = 5
_state = {"tries": False}


@contextmanager
def tuned() -> Iterator[None]:
    """Inside, each kind of `spread_conv` that is not in TRIED is run in all ways, which spoils its sums, and the fastest is kept."""
    _state["tries"] = True
    try:
        yield
    finally:
        _state["tries"] = False


def spread_conv(
    x: Tensor,
    weight: Tensor,
    out: Tensor,
    *,
    bias: Tensor | None = None,
    sums: Tensor | None = None,
    sums_from: int = 0,
    reads: bool = False,
    slope: float | None = None,
    skip: Tensor | None = None,
    base: Tensor | None = None,
    scale: float = 1.0,
    enlarges: bool = False,
    way: tuple[int, int, int] | None = None,
) -> Tensor:
    """A 3x3 convolution, zeros around, of N,h,w,C pixels; returns `out`.

    Args:
        x: in half precision; contiguous, or some channels of what is.
        weight: 9C x outputs (`taps_first`).
        out: N,H,W,F for the first F outputs, which are finished: bias and sums added, through a leaky ReLU if a slope is given, `skip`
            added, times `scale` and `base` added if there is one.
        bias: of all outputs.
        sums: N,H,W,S; output f of those beyond F is kept at `sums_from` + f, and is what was there added to if `reads`.
        sums_from: see above.
        reads: see above.
        slope: of the leaky ReLU.
        skip: contiguous, of the shape of `out`.
        base: as `skip`.
        scale: see above.
        enlarges: the input is seen doubled in height and width, each pixel repeated.
        way: pixels, warps and stages; the fastest known unless told otherwise.
    """
    kind = (x.shape[3], weight.shape[1], enlarges)
    options = (x, weight, out, bias, sums, sums_from, reads, slope, skip, base, scale, enlarges)
    if way is None and _state["tries"] and kind not in TRIED:
        TRIED[kind] = min(WAYS, key=lambda each: _time_of(options, each))
    _launch(options, way or TRIED.get(kind, WAYS[0]))
    return out


def _time_of(options: Any, way: tuple[int, int, int]) -> float:  # noqa: ANN401 - as _launch takes them
    """Milliseconds of a way on the device; infinite for one that it cannot run."""
    try:
        _launch(options, way)
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2 * _TRIES)]
        for begin, end in zip(events[::2], events[1::2], strict=True):
            begin.record()
            _launch(options, way)
            end.record()
        torch.cuda.synchronize()
    except triton.runtime.errors.OutOfResources:
        return float("inf")
    return min(float(begin.elapsed_time(end)) for begin, end in zip(events[::2], events[1::2], strict=True))


def _launch(options: Any, way: tuple[int, int, int]) -> None:  # noqa: ANN401 - spread_conv's
    x, weight, out, bias, sums, sums_from, reads, slope, skip, base, scale, enlarges = options
    block, warps, stages = way
    batch, height, width, places = out.shape
    total = weight.shape[1]
    first, second = PIECES[total]
    _spread_conv[(batch * height, triton.cdiv(width, block))](
        x, weight, out if bias is None else bias, out if sums is None else sums, out,
        out if skip is None else skip, out if base is None else base, height, width, slope or 0.0, scale,
        inner=x.shape[3], x_width=x.stride(2), out_width=out.stride(2), skip_width=places,
        sums_width=1 if sums is None else sums.shape[3], sums_from=sums_from,
        finished=places, total=total, keeps=sums is not None and total > places, first=first, second=second, has_bias=bias is not None,
        reads=reads, activates=slope is not None, has_skip=skip is not None, has_base=base is not None, enlarges=enlarges,
        block=block, stages=stages, num_warps=warps,
    )  # fmt: skip


def taps_first(weight: Tensor) -> Tensor:
    """OxIx3x3 filters as 9I x O, which `spread_conv` reads."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0]).contiguous()


@triton.jit
def _depthwise_gate(x, weight, bias, out, partial, height, width, half: tl.constexpr, block: tl.constexpr, channels: tl.constexpr):
    row = tl.program_id(0)
    cols = tl.program_id(1) * block + tl.arange(0, block)
    channel = tl.program_id(2) * channels + tl.arange(0, channels)
    y = row % height
    one = tl.zeros((block, channels), tl.float32) + tl.load(bias + channel).to(tl.float32)[None, :]
    other = tl.zeros((block, channels), tl.float32) + tl.load(bias + half + channel).to(tl.float32)[None, :]
    for down in tl.static_range(3):
        for across in tl.static_range(3):
            yy = y + down - 1
            xx = cols + across - 1
            inside = ((yy >= 0) & (yy < height) & (xx >= 0) & (xx < width))[:, None]
            pixel = ((row + down - 1) * width + xx).to(tl.int64)[:, None]
            place = x + pixel * (2 * half) + channel[None, :]
            factors = weight + (down * 3 + across) * (2 * half) + channel
            one += tl.load(place, mask=inside, other=0.0).to(tl.float32) * tl.load(factors).to(tl.float32)[None, :]
            other += tl.load(place + half, mask=inside, other=0.0).to(tl.float32) * tl.load(factors + half).to(tl.float32)[None, :]
    pixel = (row * width + cols).to(tl.int64)[:, None]
    product = tl.where((cols < width)[:, None], one * other, 0.0)
    tl.store(partial + (row * tl.num_programs(1) + tl.program_id(1)) * half + channel, tl.sum(product, axis=0))
    tl.store(out + pixel * half + channel[None, :], product.to(out.dtype.element_ty), mask=(cols < width)[:, None])


def depthwise_gate(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """N,H,W,2C pixels through a 3x3 depthwise convolution (3,3,2C filters), one half of the channels times the other.

    Returns:
        N,H,W,C and the mean of it over all pixels, N,C in float32.
    """
    batch, height, width, both = x.shape
    half, tiles = both // 2, triton.cdiv(width, 32)
    out, partial = x.new_empty(batch, height, width, half), x.new_empty(batch, height * tiles, half, dtype=torch.float32)
    grid = (batch * height, tiles, half // min(half, 64))
    _depthwise_gate[grid](x, weight, bias, out, partial, height, width, half=half, block=32, channels=min(half, 64), num_warps=4)
    return out, partial.sum(dim=1) / (height * width)


def plain_depthwise_gate(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The same in torch."""
    filters = weight.permute(2, 0, 1).unsqueeze(1)
    answer = F.conv2d(x.permute(0, 3, 1, 2), filters, bias, padding=1, groups=x.shape[3])
    one, other = answer.permute(0, 2, 3, 1).chunk(2, dim=-1)
    product = one * other
    return product, product.float().mean(dim=(1, 2))


@triton.jit
def _add_norm(x, added, weight, bias, total, out, pixels, eps, channels: tl.constexpr, block: tl.constexpr, adds: tl.constexpr):
    pixel = (tl.program_id(0) * block + tl.arange(0, block)).to(tl.int64)
    channel = tl.arange(0, channels)
    place = pixel[:, None] * channels + channel[None, :]
    inside = (pixel < pixels)[:, None]
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    if adds:
        value += tl.load(added + place, mask=inside, other=0.0).to(tl.float32)
        tl.store(total + place, value.to(total.dtype.element_ty), mask=inside)
    centred = value - (tl.sum(value, axis=1) / channels)[:, None]
    spread = tl.rsqrt(tl.sum(centred * centred, axis=1) / channels + eps)[:, None]
    normed = centred * spread * tl.load(weight + channel).to(tl.float32)[None, :] + tl.load(bias + channel).to(tl.float32)[None, :]
    tl.store(out + place, normed.to(out.dtype.element_ty), mask=inside)


def add_norm(x: Tensor, added: Tensor | None, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The sum of two, and its layer norm over the last dimension, a power of two."""
    channels, out = x.shape[-1], torch.empty_like(x)
    total = x if added is None else torch.empty_like(x)
    block, pixels = max(1, 4096 // channels), x.numel() // channels
    grid = (triton.cdiv(pixels, block),)
    _add_norm[grid](
        x, x if added is None else added, weight, bias, total, out, pixels, eps, channels=channels, block=block,
        adds=added is not None, num_warps=4,
    )  # fmt: skip
    return total, out


def plain_add_norm(x: Tensor, added: Tensor | None, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The same in torch."""
    total = x if added is None else x + added
    return total, F.layer_norm(total, weight.shape, weight, bias, eps)


@triton.jit
def _gate(x, out, count, half: tl.constexpr, block: tl.constexpr):
    place = (tl.program_id(0) * block + tl.arange(0, block)).to(tl.int64)
    inside = place < count
    at = (place // half) * (2 * half) + place % half
    one = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    other = tl.load(x + at + half, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + place, (one * other).to(out.dtype.element_ty), mask=inside)


def gate(x: Tensor) -> Tensor:
    """One half of the last dimension times the other."""
    half = x.shape[-1] // 2
    out = x.new_empty(*x.shape[:-1], half)
    _gate[(triton.cdiv(out.numel(), 2048),)](x, out, out.numel(), half=half, block=2048, num_warps=4)
    return out


def available(tensor: Any) -> bool:  # noqa: ANN401 - a tensor
    """Whether the kernels run where a tensor is, on what it holds."""
    return bool(tensor.is_cuda) and tensor.dtype in {torch.float16, torch.bfloat16}
