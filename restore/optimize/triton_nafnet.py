"""NAFNet on NHWC features: 1x1 convolutions are matrix products, the rest is `pixel_ops`.

With Triton on CUDA its kernels are used, otherwise torch. Not used by requests yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.optimize.pixel_ops import pixel_ops_for


class PixelNafBlock(nn.Module):
    """NAFNet's block; its channel attention is folded into the third convolution.

    Args:
        block: the library's block, float32.
        dtype: precision of weights and features.
    """

    def __init__(self, block: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.norm1, self.norm2 = block.norm1.float(), block.norm2.float()
        beta, gamma = block.beta.detach().flatten(), block.gamma.detach().flatten()
        self.conv1 = _pointwise(block.conv1, dtype)
        self.conv3 = _pointwise(block.conv3, dtype, beta)
        self.conv4 = _pointwise(block.conv4, dtype)
        self.conv5 = _pointwise(block.conv5, dtype, gamma)
        filters = block.conv2.weight.detach()[:, 0].permute(1, 2, 0)
        self.depthwise_weight = nn.Buffer(filters.contiguous().to(dtype))
        self.depthwise_bias = nn.Buffer(block.conv2.bias.detach().to(dtype))
        self.pool, self.attention = block.sca[0], block.sca[1].float()

    def forward(self, x: Tensor, added: Tensor | None) -> tuple[Tensor, Tensor]:
        """Compute the block of x + added.

        Returns:
            Two tensors whose sum is the output: the next norm adds them.
        """
        ops = pixel_ops_for(x)
        norm1, norm2 = cast(Any, self.norm1), cast(Any, self.norm2)
        x, normed = ops.add_norm(x, added, norm1.weight, norm1.bias, norm1.eps)
        inner, mean = ops.depthwise_gate(
            self.conv1(normed), self.depthwise_weight, self.depthwise_bias
        )
        change = self._attended(inner, mean)
        y, normed = ops.add_norm(x, change, norm2.weight, norm2.bias, norm2.eps)
        return y, self.conv5(ops.gate(self.conv4(normed)))

    def _attended(self, inner: Tensor, mean: Tensor) -> Tensor:
        """Apply the channel attention and the third convolution."""
        if isinstance(self.pool, nn.AdaptiveAvgPool2d):
            factors = self.attention(mean[:, :, None, None])
        else:  # local pooling
            factors = self.attention(self.pool(inner.permute(0, 3, 1, 2)).float())
        if factors.shape[-2:] == (1, 1) and len(inner) == 1:
            weight = self.conv3.weight.float() * factors[:, :, 0, 0]
            return F.linear(inner, weight.to(inner.dtype), self.conv3.bias)
        output: Tensor = self.conv3(inner * factors.permute(0, 2, 3, 1).to(inner.dtype))
        return output


class PixelNafnet(nn.Module):
    """NAFNet: photos to photos, float32.

    Args:
        net: a copy of the library's network, float32, with or without local pooling; its modules
            are converted in place.
        dtype: precision of the features.
    """

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.dtype, self.size_multiple = dtype, int(net.padder_size)

        def stage(blocks: Iterable[nn.Module]) -> nn.ModuleList:
            return nn.ModuleList(PixelNafBlock(block, dtype) for block in blocks)

        self.encoders = nn.ModuleList(stage(blocks) for blocks in net.encoders)
        self.decoders = nn.ModuleList(stage(blocks) for blocks in net.decoders)
        self.middle = stage(net.middle_blks)
        self.intro, self.ending = net.intro.to(dtype), net.ending.to(dtype)
        self.downs = net.downs.to(dtype)
        self.ups = nn.ParameterList(_upsampling_weight(up[0]).to(dtype) for up in net.ups)

    def forward(self, photos: Tensor) -> Tensor:
        height, width = photos.shape[-2:]
        padding = (0, -width % self.size_multiple, 0, -height % self.size_multiple)
        padded = F.pad(photos, padding)
        x, skips = _to_nhwc(self.intro(padded.to(self.dtype))), []
        for blocks, down in zip(self.encoders, self.downs, strict=True):
            x = _run_blocks(cast(nn.ModuleList, blocks), x)
            skips.append(x)
            x = _to_nhwc(down(x.permute(0, 3, 1, 2)))
        x = _run_blocks(self.middle, x)
        for blocks, up, skip in zip(self.decoders, self.ups, skips[::-1], strict=True):
            batch, low_height, low_width, _ = x.shape
            enlarged = F.linear(x, up).view(batch, low_height, low_width, 2, 2, -1)
            enlarged = enlarged.permute(0, 1, 3, 2, 4, 5)
            x = (skip.view(enlarged.shape) + enlarged).view(skip.shape)
            x = _run_blocks(cast(nn.ModuleList, blocks), x)
        output: Tensor = self.ending(x.permute(0, 3, 1, 2)).float() + padded
        return output[..., :height, :width]


def _pointwise(conv: nn.Conv2d, dtype: torch.dtype, factors: Tensor | None = None) -> nn.Linear:
    """Convert a 1x1 convolution to a matrix product, with a factor per output folded in."""
    assert conv.bias is not None, "NAFNet's convolutions have a bias"
    weight, bias = conv.weight.detach()[:, :, 0, 0], conv.bias.detach()
    if factors is not None:
        weight, bias = weight * factors[:, None], bias * factors
    linear = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    linear.weight = nn.Parameter(weight.to(dtype), requires_grad=False)
    linear.bias = nn.Parameter(bias.to(dtype), requires_grad=False)
    return linear


def _upsampling_weight(conv: nn.Conv2d) -> Tensor:
    """Order the outputs of the 1x1 convolution before a pixel shuffle by position, then channel."""
    weight = conv.weight.detach()[:, :, 0, 0]
    by_channel = weight.view(-1, 4, weight.shape[1])
    return by_channel.transpose(0, 1).flatten(0, 1).contiguous()


def _to_nhwc(features: Tensor) -> Tensor:
    return features.permute(0, 2, 3, 1).contiguous()


def _run_blocks(blocks: nn.ModuleList, x: Tensor) -> Tensor:
    added: Tensor | None = None
    for block in blocks:
        x, added = block(x, added)
    return x if added is None else x + added
