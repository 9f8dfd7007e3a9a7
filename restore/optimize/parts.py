"""Parts that the networks of this package share: precision at the borders, norms and attention for channels-last features.

All sums that decide a norm, a softmax or a statistic are taken in float32, whatever the features are.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Float32(nn.Module):
    """A module that stays in float32 inside of a network of another precision: inputs are cast, the answer is float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.float()

    def forward(self, *inputs: Tensor) -> Tensor:
        answer: Tensor = self.module(*(each.float() for each in inputs))
        return answer


def converted(net: nn.Module, dtype: torch.dtype, keep: Iterable[type[nn.Module]] = (Float32,)) -> nn.Module:
    """`net` with its parameters and buffers of floating point in `dtype`, in place, except those inside of modules to keep."""
    kept = tuple(keep)
    if isinstance(net, kept):
        return net
    for child in net.children():
        converted(child, dtype, kept)
    holders: tuple[dict[str, Any], ...] = (net._parameters, net._buffers)
    for holder in holders:
        for name, tensor in holder.items():
            if tensor is not None and tensor.is_floating_point():
                changed = tensor.detach().to(dtype)
                holder[name] = nn.Parameter(changed, requires_grad=False) if isinstance(tensor, nn.Parameter) else changed
    return net


class Lowered(nn.Module):
    """A network in another precision behind float32: inputs are cast to `dtype`, all tensors of the answer back to float32."""

    def __init__(self, net: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.net, self.dtype = net, dtype

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        answer = self.net(*(each.to(self.dtype) for each in inputs))
        if isinstance(answer, Tensor):
            return answer.float()
        return tuple(each.float() for each in answer)


class PixelLayerNorm(nn.Module):
    """A norm over the channels of each pixel of N,C,H,W, summed in float32 inside of one kernel.

    Args:
        norm: a library's module with `weight`, `bias` of C and `eps`: NAFNet's and ConvNeXt's.
    """

    def __init__(self, norm: Any) -> None:  # noqa: ANN401 - two libraries have one each
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.eps = float(norm.eps)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps).permute(0, 3, 1, 2)


class GroupNormSwish(nn.Module):
    """A group norm and, unless told otherwise, a swish behind it.

    For a compiler the sums are taken for each channel, which channels-last features allow without jumps in memory; eagerly torch's own
    kernel does it.
    """

    def __init__(self, norm: nn.GroupNorm, *, swish: bool = True) -> None:
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.groups, self.eps, self.swish = norm.num_groups, norm.eps, swish

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            return self.by_channels(x)
        normed = F.group_norm(x, self.groups, self.weight, self.bias, self.eps)
        return F.silu(normed, inplace=True) if self.swish else normed

    def by_channels(self, x: Tensor) -> Tensor:
        """The same, as one factor and one summand a channel."""
        batch, channels, height, width = x.shape
        wide = x.float()
        count = channels // self.groups * height * width
        mean = wide.sum(dim=(2, 3)).view(batch, self.groups, -1).sum(dim=2) / count
        square = wide.square().sum(dim=(2, 3)).view(batch, self.groups, -1).sum(dim=2) / count
        spread = torch.rsqrt((square - mean.square()).clamp_min(0.0) + self.eps)
        share = channels // self.groups
        factor = spread.repeat_interleave(share, 1) * self.weight.float()
        summand = self.bias.float() - mean.repeat_interleave(share, 1) * factor
        normed = wide * factor[..., None, None] + summand[..., None, None]
        return (F.silu(normed) if self.swish else normed).to(x.dtype)


def attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Softmax attention between the pixels of N,C,H,W features, head by head; the scale is inside, so that no product overflows."""
    batch, channels, height, width = query.shape

    def split(x: Tensor) -> Tensor:
        return x.reshape(batch, heads, channels // heads, height * width).transpose(2, 3)

    found = F.scaled_dot_product_attention(split(query), split(key), split(value))
    return found.transpose(2, 3).reshape(batch, channels, height, width)
