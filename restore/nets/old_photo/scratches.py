"""The scratch detector of Bringing Old Photos Back to Life: a U-Net over a grey photo (Wan et al., CVPR 2020).

The names of parts are those of the published checkpoint, which loads strictly; its synchronised batch norms are plain ones when
nothing is trained. Halving blurs first (Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019), by kernels that
the checkpoint carries.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (64, 128, 256, 512, 1024)  # channels at full size, and after each halving
SIZE_MULTIPLE = 1 << (len(WIDTHS) - 1)
SMALLEST_PX = (
    2 * SIZE_MULTIPLE
)  # below, the coarsest level is one pixel wide and cannot be padded by reflection


class OldPhotoScratchDetector(nn.Module):
    """N,1,H,W grey in [-1, 1] -> N,1,H,W logits of a pixel being scratched (a sigmoid makes them probabilities)."""

    def __init__(self) -> None:
        super().__init__()
        finer, coarser = WIDTHS[:-1], WIDTHS[1:]
        self.first = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(1, WIDTHS[0], 7), nn.LeakyReLU(0.2, inplace=True)
        )
        self.down_sample = nn.ModuleList(
            nn.Sequential(*_layers(width, width), BlurredHalving(width)) for width in finer
        )
        self.down_path = nn.ModuleList(
            DoubleConvolution(a, b) for a, b in zip(finer, coarser, strict=True)
        )
        self.up_path = nn.ModuleList(
            Up(b, a) for a, b in reversed(list(zip(finer, coarser, strict=True)))
        )
        self.last = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(WIDTHS[0], 1, 3))

    def forward(self, grey: Tensor) -> Tensor:
        """Logits at the photo's size.

        Raises:
            ValueError: a side that is no multiple of 16 or is below 32 px.
        """
        height, width = grey.shape[-2:]
        if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE or min(height, width) < SMALLEST_PX:
            raise ValueError(
                f"sides must be multiples of {SIZE_MULTIPLE} and {SMALLEST_PX} px at least, not {width} x {height} px"
            )
        x = self.first(grey)
        skips = []
        for halve, convolve in zip(self.down_sample, self.down_path, strict=True):
            skips.append(x)
            x = convolve(halve(x))
        for up, skip in zip(self.up_path, reversed(skips), strict=True):
            x = up(x, skip)
        logits: Tensor = self.last(x)
        return logits


class BlurredHalving(nn.Module):
    """Every other pixel of each channel, after a blur by the kernel in `filt`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0])
        self.filt: Tensor
        self.register_buffer("filt", (line.outer(line) / 16).repeat(width, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(
            F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, stride=2, groups=x.shape[1]
        )


class DoubleConvolution(nn.Module):
    """Two convolutions with batch norms, the first of which changes the number of channels."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.block = nn.Sequential(*_layers(before, after), *_layers(after, after))

    def forward(self, x: Tensor) -> Tensor:
        convolved: Tensor = self.block(x)
        return convolved


class Up(nn.Module):
    """Doubles the size, and joins what was there at that size on the way down."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.ReflectionPad2d(1),
            nn.Conv2d(before, after, 3),
        )
        self.conv_block = DoubleConvolution(2 * after, after)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        joined: Tensor = self.conv_block(torch.cat((self.up(x), skip), dim=1))
        return joined


def _layers(before: int, after: int) -> list[nn.Module]:
    return [
        nn.ReflectionPad2d(1),
        nn.Conv2d(before, after, 3),
        nn.BatchNorm2d(after),
        nn.LeakyReLU(0.2, inplace=True),
    ]
