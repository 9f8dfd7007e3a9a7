# mypy: disallow-untyped-defs=false, disallow-incomplete-defs=false
# mypy: disallow-untyped-calls=false, disallow-untyped-decorators=false
# ruff: noqa: ANN001, ANN202 - Triton infers the types of its kernels
"""Triton kernels for NAFNet: depthwise convolution with gate, sum with layer norm, gate.

Features are NHWC in half precision, sums are float32. This module needs Triton; `pixel_ops` has the
same functions in torch. Not used by requests yet.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_TILE_PX = 32
_MAX_CHANNELS = 64  # of one program
_NORM_ELEMENTS = 4096  # of one program
_GATE_ELEMENTS = 2048  # of one program


def depthwise_gate(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Apply a 3x3 depthwise convolution; multiply the halves of its channels.

    Args:
        x: NxHxWx2C.
        weight: 3x3x2C.
        bias: 2C.

    Returns:
        NxHxWxC, and its mean over the pixels, NxC in float32.
    """
    batch, height, width, channels = x.shape
    half, tiles = channels // 2, triton.cdiv(width, _TILE_PX)
    out = x.new_empty(batch, height, width, half)
    partial_sums = x.new_empty(batch, height * tiles, half, dtype=torch.float32)
    program_channels = min(half, _MAX_CHANNELS)
    grid = (batch * height, tiles, half // program_channels)
    _depthwise_gate[grid](
        x, weight, bias, out, partial_sums, height, width, half=half, block=_TILE_PX,
        channels=program_channels, num_warps=4,
    )  # fmt: skip
    return out, partial_sums.sum(dim=1) / (height * width)


def add_norm(
    x: Tensor, added: Tensor | None, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Return x + added and its layer norm over the last dimension, whose size is a power of two."""
    channels, out = x.shape[-1], torch.empty_like(x)
    total = x if added is None else torch.empty_like(x)
    block, pixels = max(1, _NORM_ELEMENTS // channels), x.numel() // channels
    _add_norm[(triton.cdiv(pixels, block),)](
        x, x if added is None else added, weight, bias, total, out, pixels, eps,
        channels=channels, block=block, has_added=added is not None, num_warps=4,
    )  # fmt: skip
    return total, out


def gate(x: Tensor) -> Tensor:
    """Multiply the first half of the last dimension by the second half."""
    half = x.shape[-1] // 2
    out = x.new_empty(*x.shape[:-1], half)
    grid = (triton.cdiv(out.numel(), _GATE_ELEMENTS),)
    _gate[grid](x, out, out.numel(), half=half, block=_GATE_ELEMENTS, num_warps=4)
    return out


@triton.jit
def _depthwise_gate(
    x, weight, bias, out, partial_sums, height, width,
    half: tl.constexpr, block: tl.constexpr, channels: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0)
    columns = tl.program_id(1) * block + tl.arange(0, block)
    channel = tl.program_id(2) * channels + tl.arange(0, channels)
    y = row % height
    zeros = tl.zeros((block, channels), tl.float32)
    first = zeros + tl.load(bias + channel).to(tl.float32)[None, :]
    second = zeros + tl.load(bias + half + channel).to(tl.float32)[None, :]
    for down in tl.static_range(3):
        for across in tl.static_range(3):
            tap_y = y + down - 1
            tap_x = columns + across - 1
            inside = ((tap_y >= 0) & (tap_y < height) & (tap_x >= 0) & (tap_x < width))[:, None]
            pixel = ((row + down - 1) * width + tap_x).to(tl.int64)[:, None]
            at = x + pixel * (2 * half) + channel[None, :]
            filters = weight + (down * 3 + across) * (2 * half) + channel
            features = tl.load(at, mask=inside, other=0.0).to(tl.float32)
            first += features * tl.load(filters).to(tl.float32)[None, :]
            features = tl.load(at + half, mask=inside, other=0.0).to(tl.float32)
            second += features * tl.load(filters + half).to(tl.float32)[None, :]
    pixel = (row * width + columns).to(tl.int64)[:, None]
    product = tl.where((columns < width)[:, None], first * second, 0.0)
    tile = row * tl.num_programs(1) + tl.program_id(1)
    tl.store(partial_sums + tile * half + channel, tl.sum(product, axis=0))
    out_at = out + pixel * half + channel[None, :]
    tl.store(out_at, product.to(out.dtype.element_ty), mask=(columns < width)[:, None])


@triton.jit
def _add_norm(
    x, added, weight, bias, total, out, pixels, eps,
    channels: tl.constexpr, block: tl.constexpr, has_added: tl.constexpr,
):  # fmt: skip
    pixel = (tl.program_id(0) * block + tl.arange(0, block)).to(tl.int64)
    channel = tl.arange(0, channels)
    at = pixel[:, None] * channels + channel[None, :]
    inside = (pixel < pixels)[:, None]
    value = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    if has_added:
        value += tl.load(added + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(total + at, value.to(total.dtype.element_ty), mask=inside)
    centred = value - (tl.sum(value, axis=1) / channels)[:, None]
    inverse_std = tl.rsqrt(tl.sum(centred * centred, axis=1) / channels + eps)[:, None]
    factors = tl.load(weight + channel).to(tl.float32)[None, :]
    normed = centred * inverse_std * factors + tl.load(bias + channel).to(tl.float32)[None, :]
    tl.store(out + at, normed.to(out.dtype.element_ty), mask=inside)


@triton.jit
def _gate(x, out, count, half: tl.constexpr, block: tl.constexpr):
    index = (tl.program_id(0) * block + tl.arange(0, block)).to(tl.int64)
    inside = index < count
    at = (index // half) * (2 * half) + index % half
    first = tl.load(x + at, mask=inside, other=0.0).to(tl.float32)
    second = tl.load(x + at + half, mask=inside, other=0.0).to(tl.float32)
    tl.store(out + index, (first * second).to(out.dtype.element_ty), mask=inside)
