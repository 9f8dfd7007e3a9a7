"""NAFNet (Chen et al., ECCV 2022) below float32; layer norms are summed in float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.low_precision.layers import (
    ChannelLayerNorm,
    convert_floats,
    scale_conv_outputs,
)


class NafBlock(nn.Module):
    """NAFNet's block, with its two scales folded into the convolutions before them.

    Args:
        block: the library's block; its modules are shared.
    """

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.norm1, self.norm2 = ChannelLayerNorm(block.norm1), ChannelLayerNorm(block.norm2)
        self.conv1, self.conv2, self.conv4 = block.conv1, block.conv2, block.conv4
        self.sca = block.sca
        self.conv3 = scale_conv_outputs(block.conv3, block.beta.flatten())
        self.conv5 = scale_conv_outputs(block.conv5, block.gamma.flatten())

    def forward(self, x: Tensor) -> Tensor:
        inner = simple_gate(self.conv2(self.conv1(self.norm1(x))))
        y = x + self.conv3(inner * self.sca(inner))
        output: Tensor = y + self.conv5(simple_gate(self.conv4(self.norm2(y))))
        return output


def simple_gate(x: Tensor) -> Tensor:
    """Multiply the first half of the channels by the second half."""
    first, second = x.chunk(2, dim=1)
    return first * second


class LowPrecisionNafnet(nn.Module):
    """NAFNet: photos to photos, float32. The residual is computed in `dtype`, added in float32.

    Args:
        net: the library's network; it is converted in place.
        dtype: precision of the features.
    """

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.dtype, self.size_multiple = dtype, int(net.padder_size)
        for parent in list(net.modules()):
            for name, child in parent.named_children():
                if type(child).__name__ == "NAFBlock":
                    setattr(parent, name, NafBlock(child))
        self.net: Any = convert_floats(net, dtype)

    def forward(self, photos: Tensor) -> Tensor:
        height, width = photos.shape[-2:]
        padding = (0, -width % self.size_multiple, 0, -height % self.size_multiple)
        padded = F.pad(photos, padding)
        x, skips = self.net.intro(padded.to(self.dtype)), []
        for encoder, down in zip(self.net.encoders, self.net.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.net.middle_blks(x)
        for decoder, up, skip in zip(self.net.decoders, self.net.ups, skips[::-1], strict=True):
            x = decoder(up(x) + skip)
        output: Tensor = self.net.ending(x).float() + padded
        return output[..., :height, :width]
