# mypy: disallow-untyped-defs=false, disallow-incomplete-defs=false
# mypy: disallow-untyped-calls=false, disallow-untyped-decorators=false
# ruff: noqa: ANN001, ANN202 - Triton infers the types of its kernels
"""A Triton kernel for 3x3 convolutions whose outputs are finished layers or partial sums.

`partial_sum_conv` computes dense blocks without concatenation: each feature map is convolved once
for all later layers. Features are NHWC in half precision, sums are float32. This module needs
Triton. Not used by requests yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor


class KernelConfig(NamedTuple):
    """How the kernel is launched: pixels and warps of a program, and stages of its loads."""

    block_px: int
    warps: int
    stages: int


OUTPUT_SPLITS = {
    16: (16, 0),
    32: (32, 0),
    64: (64, 0),
    96: (64, 32),
    128: (128, 0),
    160: (128, 32),
    192: (128, 64),
}
"""Number of outputs: the two groups, powers of two, in which a program computes them."""

CONFIGS = (
    KernelConfig(128, 8, 3),
    KernelConfig(128, 8, 4),
    KernelConfig(128, 4, 3),
    KernelConfig(128, 4, 4),
    KernelConfig(64, 4, 3),
    KernelConfig(64, 4, 4),
    KernelConfig(256, 8, 3),
)
"""Configurations that `autotuning` tries; the first one is the default."""

BEST_CONFIGS: dict[tuple[int, int, bool], KernelConfig] = {
    (64, 192, False): KernelConfig(64, 4, 3),
    (32, 32, False): KernelConfig(256, 8, 3),
    (64, 128, False): KernelConfig(64, 4, 3),
    (64, 64, False): KernelConfig(128, 8, 3),
    (64, 64, True): KernelConfig(128, 4, 3),
    (64, 16, False): KernelConfig(128, 8, 3),
}
"""Fastest configuration by input channels, outputs and upsampling, on an H100 at 512 px."""

_AUTOTUNING_CALLS = 5
_state = {"autotuning": False}


@dataclass(frozen=True)
class _Arguments:
    """The arguments of `partial_sum_conv`."""

    x: Tensor
    weight: Tensor
    out: Tensor
    bias: Tensor | None
    sums: Tensor | None
    sums_offset: int
    add_sums: bool
    leaky_slope: float | None
    skip: Tensor | None
    base: Tensor | None
    scale: float
    upsample: bool

    @property
    def kind(self) -> tuple[int, int, bool]:
        """The key of `BEST_CONFIGS`."""
        return self.x.shape[3], self.weight.shape[1], self.upsample


@contextmanager
def autotuning() -> Iterator[None]:
    """Measure all configurations of each kind of convolution that is not in BEST_CONFIGS.

    The fastest is stored there. The convolution runs several times, so that its sums are wrong.
    """
    _state["autotuning"] = True
    try:
        yield
    finally:
        _state["autotuning"] = False


def partial_sum_conv(
    x: Tensor,
    weight: Tensor,
    out: Tensor,
    *,
    bias: Tensor | None = None,
    sums: Tensor | None = None,
    sums_offset: int = 0,
    add_sums: bool = False,
    leaky_slope: float | None = None,
    skip: Tensor | None = None,
    base: Tensor | None = None,
    scale: float = 1.0,
    upsample: bool = False,
    config: KernelConfig | None = None,
) -> Tensor:
    """Compute a 3x3 convolution with zero padding; return `out`.

    The first F outputs are finished: bias and sums are added, the leaky ReLU is applied, `skip` is
    added; with `base`, the result is base + scale * result. The other outputs are partial sums.

    Args:
        x: NxhxwxC in half precision: contiguous, or a slice of the channels of such a tensor.
        weight: 9CxO, from `flatten_filters`.
        out: NxHxWxF, for the finished outputs.
        bias: of all O outputs.
        sums: NxHxWxS; the partial sum of output f >= F is stored in channel `sums_offset` + f.
        sums_offset: see `sums`.
        add_sums: add the values that are in `sums`, to finished and partial outputs.
        leaky_slope: slope of the leaky ReLU; None for no activation.
        skip: contiguous, with the shape of `out`.
        base: contiguous, with the shape of `out`.
        scale: see above.
        upsample: enlarge the input by 2 first, repeating each pixel.
        config: the launch configuration; by default the fastest known one.
    """
    arguments = _Arguments(
        x, weight, out, bias, sums, sums_offset, add_sums, leaky_slope, skip, base, scale, upsample
    )
    kind = arguments.kind
    if config is None and _state["autotuning"] and kind not in BEST_CONFIGS:
        BEST_CONFIGS[kind] = min(CONFIGS, key=lambda each: _measure_ms(arguments, each))
    _launch(arguments, config or BEST_CONFIGS.get(kind, CONFIGS[0]))
    return out


def flatten_filters(weight: Tensor) -> Tensor:
    """Convert OxIx3x3 filters to 9IxO, the layout that `partial_sum_conv` reads."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0]).contiguous()


def _measure_ms(arguments: _Arguments, config: KernelConfig) -> float:
    """Return the shortest time of a configuration; infinity if the device cannot run it."""
    try:
        _launch(arguments, config)
        events = [torch.cuda.Event(enable_timing=True) for _ in range(2 * _AUTOTUNING_CALLS)]
        for begin, end in zip(events[::2], events[1::2], strict=True):
            begin.record()
            _launch(arguments, config)
            end.record()
        torch.cuda.synchronize()
    except triton.runtime.errors.OutOfResources:
        return float("inf")
    pairs = zip(events[::2], events[1::2], strict=True)
    return min(float(begin.elapsed_time(end)) for begin, end in pairs)


def _launch(arguments: _Arguments, config: KernelConfig) -> None:
    out, sums, bias = arguments.out, arguments.sums, arguments.bias
    batch, height, width, finished = out.shape
    total = arguments.weight.shape[1]
    first, second = OUTPUT_SPLITS[total]

    def or_out(tensor: Any) -> Any:  # noqa: ANN401 - the kernel does not read an absent tensor
        return out if tensor is None else tensor

    _partial_sum_conv[(batch * height, triton.cdiv(width, config.block_px))](
        arguments.x, arguments.weight, or_out(bias), or_out(sums), out,
        or_out(arguments.skip), or_out(arguments.base), height, width,
        arguments.leaky_slope or 0.0, arguments.scale,
        in_channels=arguments.x.shape[3], x_stride=arguments.x.stride(2), out_stride=out.stride(2),
        skip_stride=finished, sums_stride=1 if sums is None else sums.shape[3],
        sums_offset=arguments.sums_offset, finished=finished, total=total,
        store_sums=sums is not None and total > finished, first=first, second=second,
        has_bias=bias is not None, add_sums=arguments.add_sums,
        activate=arguments.leaky_slope is not None, has_skip=arguments.skip is not None,
        has_base=arguments.base is not None, upsample=arguments.upsample,
        block=config.block_px, stages=config.stages, num_warps=config.warps,
    )  # fmt: skip


@triton.jit
def _partial_sum_conv(
    x, weight, bias, sums, out, skip, base, height, width, slope, scale,
    in_channels: tl.constexpr, x_stride: tl.constexpr, out_stride: tl.constexpr,
    skip_stride: tl.constexpr, sums_stride: tl.constexpr, sums_offset: tl.constexpr,
    finished: tl.constexpr, total: tl.constexpr, store_sums: tl.constexpr,
    first: tl.constexpr, second: tl.constexpr, has_bias: tl.constexpr, add_sums: tl.constexpr,
    activate: tl.constexpr, has_skip: tl.constexpr, has_base: tl.constexpr,
    upsample: tl.constexpr, block: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """Compute `block` pixels of a row; two groups of outputs share the loads of the input."""
    row = tl.program_id(0)
    columns = tl.program_id(1) * block + tl.arange(0, block)
    image, y = row // height, row % height
    channel = tl.arange(0, in_channels)
    acc = tl.zeros((block, first), tl.float32)
    second_acc = tl.zeros((block, second if second else 16), tl.float32)
    for tap in tl.range(9, num_stages=stages):
        tap_y = y + tap // 3 - 1
        tap_x = columns + tap % 3 - 1
        inside = (tap_y >= 0) & (tap_y < height) & (tap_x >= 0) & (tap_x < width)
        if upsample:
            pixel = (image * (height // 2) + tap_y // 2) * (width // 2) + tap_x // 2
        else:
            pixel = (image * height + tap_y) * width + tap_x
        features = tl.load(
            x + pixel[:, None] * x_stride + channel[None, :], mask=inside[:, None], other=0.0
        )
        rows = weight + (tap * in_channels + channel)[:, None] * total
        acc = tl.dot(features, tl.load(rows + tl.arange(0, first)[None, :]), acc)
        if second:
            filters = tl.load(rows + first + tl.arange(0, second)[None, :])
            second_acc = tl.dot(features, filters, second_acc)
    _store(
        acc, bias, sums, out, skip, base, row, columns, width, slope, scale,
        0, first, out_stride, skip_stride, sums_stride, sums_offset,
        finished, store_sums, has_bias, add_sums, activate, has_skip, has_base,
    )  # fmt: skip
    if second:
        _store(
            second_acc, bias, sums, out, skip, base, row, columns, width, slope, scale,
            first, second, out_stride, skip_stride, sums_stride, sums_offset,
            finished, store_sums, has_bias, add_sums, activate, has_skip, has_base,
        )  # fmt: skip


@triton.jit
def _store(
    acc, bias, sums, out, skip, base, row, columns, width, slope, scale,
    start: tl.constexpr, count: tl.constexpr, out_stride: tl.constexpr,
    skip_stride: tl.constexpr, sums_stride: tl.constexpr, sums_offset: tl.constexpr,
    finished: tl.constexpr, store_sums: tl.constexpr, has_bias: tl.constexpr,
    add_sums: tl.constexpr, activate: tl.constexpr, has_skip: tl.constexpr,
    has_base: tl.constexpr,
):  # fmt: skip
    """Store the outputs `start` to `start + count`: finished ones to `out`, others to `sums`."""
    channel = start + tl.arange(0, count)
    pixel = (row * width + columns).to(tl.int64)[:, None]
    inside = (columns < width)[:, None]
    sums_at = sums + pixel * sums_stride + sums_offset + channel[None, :]
    if has_bias:
        acc += tl.load(bias + channel)[None, :].to(tl.float32)
    if add_sums:
        acc += tl.load(sums_at, mask=inside, other=0.0).to(tl.float32)
    if start < finished:
        value = acc
        is_finished = inside & (channel < finished)[None, :]
        skip_at = pixel * skip_stride + channel[None, :]
        if activate:
            value = tl.where(value >= 0, value, value * slope)
        if has_skip:
            value += tl.load(skip + skip_at, mask=is_finished, other=0.0).to(tl.float32)
        if has_base:
            value *= scale
            value += tl.load(base + skip_at, mask=is_finished, other=0.0).to(tl.float32)
        out_at = out + pixel * out_stride + channel[None, :]
        tl.store(out_at, value.to(out.dtype.element_ty), mask=is_finished)
    if store_sums and start + count > finished:
        is_partial = inside & (channel >= finished)[None, :]
        tl.store(sums_at, acc.to(sums.dtype.element_ty), mask=is_partial)
