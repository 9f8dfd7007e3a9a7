"""The face network of Bringing Old Photos Back to Life.

A SPADE generator (Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization",
CVPR 2019) conditioned on the degraded face at every scale; the published networks use no label
map. The checkpoints for 256 and 512 px have the same architecture. The names of the modules are
those of the checkpoints, which load strictly, spectral norms included.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

CHANNELS = 64  # of the last scale
HIDDEN_CHANNELS = 128  # between the condition and the scale and shift computed from it
SIZE_MULTIPLE = 32  # the first scale has 1/32 of the side of the face


class OldPhotoFaces(nn.Module):
    """Restore faces: Nx3xSxS RGB in [-1, 1] to the same; S is 256 or 512, as in the training."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(3, 16 * CHANNELS, 3, padding=1)
        self.head_0 = SpadeBlock(16 * CHANNELS, 16 * CHANNELS)
        self.G_middle_0 = SpadeBlock(16 * CHANNELS, 16 * CHANNELS)
        self.G_middle_1 = SpadeBlock(16 * CHANNELS, 16 * CHANNELS)
        self.up_0 = SpadeBlock(16 * CHANNELS, 8 * CHANNELS)
        self.up_1 = SpadeBlock(8 * CHANNELS, 4 * CHANNELS)
        self.up_2 = SpadeBlock(4 * CHANNELS, 2 * CHANNELS)
        self.up_3 = SpadeBlock(2 * CHANNELS, CHANNELS)
        self.conv_img = nn.Conv2d(CHANNELS, 3, 3, padding=1)

    def forward(self, faces: Tensor) -> Tensor:
        """Restore faces.

        Raises:
            ValueError: a side is not a multiple of 32 px.
        """
        height, width = faces.shape[-2:]
        if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
            raise ValueError(
                f"the sides of a face must be multiples of {SIZE_MULTIPLE} px, "
                f"not {width} x {height} px"
            )
        x = self.fc(_resize(faces, (height // SIZE_MULTIPLE, width // SIZE_MULTIPLE)))
        x = self.head_0(x, faces)
        x = self.G_middle_0(_upsample(x), faces)
        x = self.G_middle_1(x, faces)
        for block in (self.up_0, self.up_1, self.up_2, self.up_3):
            x = block(_upsample(x), faces)
        return torch.tanh(self.conv_img(F.leaky_relu(x, 0.2)))


class SpadeBlock(nn.Module):
    """A residual block of two convolutions, each after a SPADE normalisation.

    Where the number of channels changes, the skip connection has a 1x1 convolution.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        inner_channels = min(in_channels, out_channels)
        self.conv_0 = spectral_norm(nn.Conv2d(in_channels, inner_channels, 3, padding=1))
        self.conv_1 = spectral_norm(nn.Conv2d(inner_channels, out_channels, 3, padding=1))
        self.norm_0 = SpadeNorm(in_channels)
        self.norm_1 = SpadeNorm(inner_channels)
        self.has_learned_skip = in_channels != out_channels
        if self.has_learned_skip:
            self.conv_s = spectral_norm(nn.Conv2d(in_channels, out_channels, 1, bias=False))
            self.norm_s = SpadeNorm(in_channels)

    def forward(self, x: Tensor, faces: Tensor) -> Tensor:
        condition = _resize(faces, x.shape[-2:])
        skip = self.conv_s(self.norm_s(x, condition)) if self.has_learned_skip else x
        residual = self.conv_0(F.leaky_relu(self.norm_0(x, condition), 0.2))
        residual = self.conv_1(F.leaky_relu(self.norm_1(residual, condition), 0.2))
        return cast(Tensor, skip + residual)


class SpadeNorm(nn.Module):
    """Batch norm with a scale and a shift for each position, computed from the condition."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.param_free_norm = nn.BatchNorm2d(channels, affine=False)
        self.mlp_shared = nn.Sequential(
            nn.Conv2d(3, HIDDEN_CHANNELS, 3, padding=1), nn.ReLU(inplace=True)
        )
        self.mlp_gamma = nn.Conv2d(HIDDEN_CHANNELS, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(HIDDEN_CHANNELS, channels, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Normalise NxCxhxw features with an Nx3xhxw condition."""
        hidden = self.mlp_shared(condition)
        return cast(
            Tensor, self.param_free_norm(x) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)
        )


def _resize(faces: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(faces, size, mode="bilinear", align_corners=False)


def _upsample(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
