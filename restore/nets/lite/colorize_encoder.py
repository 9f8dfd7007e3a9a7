"""The encoder of the embedded colour network: the first blocks of EfficientNet-Lite0.

EfficientNet (Tan and Le, ICML 2019) in the variant without squeeze and excitation, with ReLU6.
Batch norms are folded into the convolutions, so that there are none here. Strided convolutions pad
as TensorFlow does (more on the right and at the bottom), because the weights were trained so.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEM_CHANNELS = 32
BLOCKS = 13  # of 16; the last three are larger than all others and add little
CHANNELS = (24, 40, 112, 192)  # of the features that are returned: at 1/4, 1/8, 1/16, 1/32
DEVIATIONS = (11.0, 7.5, 4.0, 2.8)  # of these features on photos; they are divided by this
STRIDE = 32  # of the coarsest features; sides of the input must be a multiple of this
_RETURNED_BLOCKS = (2, 4, 10, 12)
_MEAN, _SCALE = 127 / 255, 128 / 255  # of the samples that the encoder was trained with


class Stage(NamedTuple):
    """Blocks of the same shape; only the first one has a stride."""

    expansion: int
    channels: int
    kernel_px: int
    stride: int
    blocks: int


STAGES = (
    Stage(1, 16, 3, 1, 1),
    Stage(6, 24, 3, 2, 2),
    Stage(6, 40, 5, 2, 2),
    Stage(6, 80, 3, 2, 3),
    Stage(6, 112, 5, 1, 3),
    Stage(6, 192, 5, 2, 4),
)


class SamePadConv(nn.Conv2d):
    """A convolution with TensorFlow's padding `SAME`; sides are multiples of the stride."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel_px: int, stride: int = 1, groups: int = 1
    ) -> None:
        total = kernel_px - stride
        # With an even total, both sides get the same, and the convolution pads by itself.
        padding = total // 2 if total % 2 == 0 else 0
        super().__init__(
            channels_in, channels_out, kernel_px, stride, padding=padding, groups=groups
        )
        self.uneven = (total // 2, total - total // 2) if total % 2 else None

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven:
            x = F.pad(x, (*self.uneven, *self.uneven))
        return super().forward(x)


class InvertedBlock(nn.Module):
    """A MobileNetV2 block: expand, filter each channel, project; with a shortcut where it fits."""

    def __init__(
        self, channels_in: int, channels_out: int, kernel_px: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.expand = SamePadConv(channels_in, inner, 1) if expansion > 1 else None
        self.depthwise = SamePadConv(inner, inner, kernel_px, stride, groups=inner)
        self.project = SamePadConv(inner, channels_out, 1)
        self.has_shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        output: Tensor = self.project(F.relu6(self.depthwise(inner), inplace=True))
        return x + output if self.has_shortcut else output


class EfficientEncoder(nn.Module):
    """Compute features of a grey photo at four scales."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = SamePadConv(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.ModuleList(_build_blocks()[:BLOCKS])

    def forward(self, lightness: Tensor) -> list[Tensor]:
        """Encode Nx1xHxW lightness in [0, 1]; H and W are multiples of 32.

        Returns:
            Features at 1/4, 1/8, 1/16 and 1/32 of the size, with `CHANNELS` channels.
        """
        grey = ((lightness - _MEAN) / _SCALE).expand(-1, 3, -1, -1)
        # A CPU computes depthwise convolutions several times faster in this memory layout.
        x = self.stem(grey.contiguous(memory_format=torch.channels_last))
        F.relu6(x, inplace=True)
        features = list[Tensor]()
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _RETURNED_BLOCKS:
                features.append(x / DEVIATIONS[len(features)])
        return features


def _build_blocks() -> list[InvertedBlock]:
    blocks, channels = list[InvertedBlock](), STEM_CHANNELS
    for stage in STAGES:
        for index in range(stage.blocks):
            stride = stage.stride if index == 0 else 1
            blocks.append(
                InvertedBlock(channels, stage.channels, stage.kernel_px, stride, stage.expansion)
            )
            channels = stage.channels
    return blocks
