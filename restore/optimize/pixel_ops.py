"""Operations of NAFNet on NHWC features in torch, and the choice between torch and Triton.

Not used by requests yet.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

_HALF_PRECISIONS = frozenset({torch.float16, torch.bfloat16})


class PixelOps(NamedTuple):
    """One implementation of the operations; `triton_gates` describes them."""

    depthwise_gate: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
    add_norm: Callable[[Tensor, Tensor | None, Tensor, Tensor, float], tuple[Tensor, Tensor]]
    gate: Callable[[Tensor], Tensor]


def pixel_ops_for(features: Tensor) -> PixelOps:
    """Return the Triton kernels for half-precision features on CUDA, otherwise torch's operations.

    Torch's operations are also used if Triton is not installed.
    """
    if not features.is_cuda or features.dtype not in _HALF_PRECISIONS or not has_triton():
        return TORCH_OPS
    from restore.optimize import triton_gates  # noqa: PLC0415 - Triton is optional

    return PixelOps(triton_gates.depthwise_gate, triton_gates.add_norm, triton_gates.gate)


@functools.cache
def has_triton() -> bool:
    """Whether Triton is installed."""
    return importlib.util.find_spec("triton") is not None


def torch_depthwise_gate(x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Compute `triton_gates.depthwise_gate` in torch."""
    filters = weight.permute(2, 0, 1).unsqueeze(1)
    output = F.conv2d(x.permute(0, 3, 1, 2), filters, bias, padding=1, groups=x.shape[3])
    product = torch_gate(output.permute(0, 2, 3, 1))
    return product, product.float().mean(dim=(1, 2))


def torch_add_norm(
    x: Tensor, added: Tensor | None, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Compute `triton_gates.add_norm` in torch."""
    total = x if added is None else x + added
    return total, F.layer_norm(total, weight.shape, weight, bias, eps)


def torch_gate(x: Tensor) -> Tensor:
    """Compute `triton_gates.gate` in torch."""
    first, second = x.chunk(2, dim=-1)
    return first * second


TORCH_OPS = PixelOps(torch_depthwise_gate, torch_add_norm, torch_gate)
