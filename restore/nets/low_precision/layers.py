"""Layers that the low-precision networks share: casts, norms, attention, scaled convolutions.

The sums in norms, softmax and statistics are float32, whatever the precision of the features.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Float32Module(nn.Module):
    """Compute a module in float32 inside a network of another precision.

    Inputs are cast to float32, and the output is float32. `convert_floats` skips it.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.float()

    def forward(self, *inputs: Tensor) -> Tensor:
        output: Tensor = self.module(*(each.float() for each in inputs))
        return output


class Float32Boundary(nn.Module):
    """Run a network in `dtype`: cast its inputs to `dtype` and its output tensors to float32."""

    def __init__(self, net: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.net, self.dtype = net, dtype

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        output = self.net(*(each.to(self.dtype) for each in inputs))
        if isinstance(output, Tensor):
            return output.float()
        return tuple(each.float() for each in output)


class Cast(nn.Module):
    """Convert features to a precision."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, features: Tensor) -> Tensor:
        return features.to(self.dtype)


class CastingForward:
    """The `forward` of a network in `dtype` that takes and returns float32.

    Unlike in a `Float32Boundary`, the network keeps its class and its other methods.
    """

    def __init__(self, forward: Callable[..., Any], dtype: torch.dtype) -> None:
        self.forward, self.dtype = forward, dtype

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the output tensors in float32."""
        return tuple(each.float() for each in self.forward(*(x.to(self.dtype) for x in inputs)))


def convert_floats(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Convert floating-point parameters and buffers to `dtype`, in place; return `net`.

    Parameters are frozen. A `Float32Module` stays as it is.
    """
    if isinstance(net, Float32Module):
        return net
    for child in net.children():
        convert_floats(child, dtype)
    tables: tuple[dict[str, Any], ...] = (net._parameters, net._buffers)
    for table in tables:
        for name, tensor in table.items():
            if tensor is None or not tensor.is_floating_point():
                continue
            converted = tensor.detach().to(dtype)
            is_parameter = isinstance(tensor, nn.Parameter)
            table[name] = (
                nn.Parameter(converted, requires_grad=False) if is_parameter else converted
            )
    return net


class ChannelLayerNorm(nn.Module):
    """Normalise the channels of each pixel of NxCxHxW features; torch's kernel sums in float32.

    Args:
        norm: the layer norm of NAFNet or ConvNeXt, with `weight` and `bias` of C values and `eps`.
    """

    def __init__(self, norm: Any) -> None:  # noqa: ANN401 - the libraries have no types
        super().__init__()
        self.weight, self.bias = norm.weight, norm.bias
        self.eps = float(norm.eps)

    def forward(self, x: Tensor) -> Tensor:
        channels_last = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, self.eps)
        return normed.permute(0, 3, 1, 2)


class GroupNormSwish(nn.Module):
    """Apply a group norm, then SiLU unless `swish` is false.

    Under torch.compile the sums are computed per channel first, which reads channels-last features
    contiguously. In eager mode torch's own kernel is used.
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
        """Compute the same as one factor and one offset per channel, in float32."""
        batch, channels, height, width = x.shape
        features = x.float()
        group_size = channels // self.groups
        count = group_size * height * width
        mean = features.sum(dim=(2, 3)).view(batch, self.groups, -1).sum(dim=2) / count
        square = features.square().sum(dim=(2, 3)).view(batch, self.groups, -1).sum(dim=2) / count
        inverse_std = torch.rsqrt((square - mean.square()).clamp_min(0.0) + self.eps)
        factor = inverse_std.repeat_interleave(group_size, 1) * self.weight.float()
        offset = self.bias.float() - mean.repeat_interleave(group_size, 1) * factor
        normed = features * factor[..., None, None] + offset[..., None, None]
        return (F.silu(normed) if self.swish else normed).to(x.dtype)


def pixel_attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Compute softmax attention between the pixels of NxCxHxW features.

    The products are scaled before they are summed, so that they do not overflow in float16.
    """
    batch, channels, height, width = query.shape

    def split(x: Tensor) -> Tensor:
        return x.reshape(batch, heads, channels // heads, height * width).transpose(2, 3)

    output = F.scaled_dot_product_attention(split(query), split(key), split(value))
    return output.transpose(2, 3).reshape(batch, channels, height, width)


def scale_conv_outputs(conv: nn.Conv2d, factors: Tensor, shift: Tensor | None = None) -> nn.Conv2d:
    """Fold a factor and a shift per output channel into a convolution, in place; return it."""
    factors = factors.detach()
    weight = conv.weight.detach() * factors[:, None, None, None]
    conv.weight = nn.Parameter(weight, requires_grad=False)
    bias = None if conv.bias is None else conv.bias.detach() * factors
    if shift is not None:
        bias = shift if bias is None else bias + shift
    conv.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
    return conv
