"""The scratch detector of Bringing Old Photos Back to Life: a U-Net (Wan et al., CVPR 2020).

The names of the modules are those of the published checkpoint, which loads strictly. Its
synchronised batch norms are plain batch norms at inference. Downsampling is antialiased (Zhang,
"Making Convolutional Networks Shift-Invariant Again", ICML 2019), with kernels that are part of
the checkpoint.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = (64, 128, 256, 512, 1024)  # at full size, and after each halving
SIZE_MULTIPLE = 1 << (len(CHANNELS) - 1)
MIN_PHOTO_PX = 2 * SIZE_MULTIPLE  # the coarsest level of smaller photos is too small for padding


class OldPhotoScratchDetector(nn.Module):
    """Detect scratches: Nx1xHxW grey in [-1, 1] to Nx1xHxW logits."""

    def __init__(self) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(CHANNELS))
        self.first = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(1, CHANNELS[0], 7), nn.LeakyReLU(0.2, inplace=True)
        )
        self.down_sample = nn.ModuleList(
            nn.Sequential(*_conv_layers(fine, fine), BlurPool(fine)) for fine, _ in pairs
        )
        self.down_path = nn.ModuleList(DoubleConv(fine, coarse) for fine, coarse in pairs)
        self.up_path = nn.ModuleList(UpBlock(coarse, fine) for fine, coarse in reversed(pairs))
        self.last = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(CHANNELS[0], 1, 3))

    def forward(self, grey: Tensor) -> Tensor:
        """Return logits; a sigmoid makes them probabilities.

        Raises:
            ValueError: a side is not a multiple of 16 px or is below 32 px.
        """
        height, width = grey.shape[-2:]
        if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE or min(height, width) < MIN_PHOTO_PX:
            raise ValueError(
                f"the sides of a photo must be multiples of {SIZE_MULTIPLE} px and at least "
                f"{MIN_PHOTO_PX} px, not {width} x {height} px"
            )
        x = self.first(grey)
        skips = []
        for downsample, convolve in zip(self.down_sample, self.down_path, strict=True):
            skips.append(x)
            x = convolve(downsample(x))
        for up_block, skip in zip(self.up_path, reversed(skips), strict=True):
            x = up_block(x, skip)
        logits: Tensor = self.last(x)
        return logits


class BlurPool(nn.Module):
    """Downsample by 2 after a blur of each channel with the kernel in `filt`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0])
        self.filt: Tensor
        self.register_buffer("filt", (line.outer(line) / 16).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(padded, self.filt, stride=2, groups=x.shape[1])


class DoubleConv(nn.Module):
    """Two convolutions with batch norm; the first one changes the number of channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            *_conv_layers(in_channels, out_channels), *_conv_layers(out_channels, out_channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.block(x)
        return features


class UpBlock(nn.Module):
    """Upsample by 2, concatenate the skip connection and convolve."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.ReflectionPad2d(1),
            nn.Conv2d(in_channels, out_channels, 3),
        )
        self.conv_block = DoubleConv(2 * out_channels, out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        features: Tensor = self.conv_block(torch.cat((self.up(x), skip), dim=1))
        return features


def _conv_layers(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [
        nn.ReflectionPad2d(1),
        nn.Conv2d(in_channels, out_channels, 3),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.2, inplace=True),
    ]
