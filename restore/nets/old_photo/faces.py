"""The face network of Bringing Old Photos Back to Life: draws a face anew, told at every scale what the old one looks like.

A SPADE generator (Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019) whose condition is the
old face itself; the published ones use no label map. One network serves any side: the checkpoints for 256 and 512 px differ in
nothing but values. The names of parts are those of the checkpoints, which load strictly, spectral norms included.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import remove_spectral_norm, spectral_norm

WIDTH = 64
HIDDEN = 128  # channels between the condition and the factors made from it
SIZE_MULTIPLE = 32  # it starts at a thirty-second of the face's side


class OldPhotoFaces(nn.Module):
    """N,3,S,S RGB faces in [-1, 1] -> N,3,S,S RGB in [-1, 1]; S is what the checkpoint was trained for, 256 or 512 px."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Conv2d(3, 16 * WIDTH, 3, padding=1)
        self.head_0 = SpadeBlock(16 * WIDTH, 16 * WIDTH)
        self.G_middle_0 = SpadeBlock(16 * WIDTH, 16 * WIDTH)
        self.G_middle_1 = SpadeBlock(16 * WIDTH, 16 * WIDTH)
        self.up_0 = SpadeBlock(16 * WIDTH, 8 * WIDTH)
        self.up_1 = SpadeBlock(8 * WIDTH, 4 * WIDTH)
        self.up_2 = SpadeBlock(4 * WIDTH, 2 * WIDTH)
        self.up_3 = SpadeBlock(2 * WIDTH, WIDTH)
        self.conv_img = nn.Conv2d(WIDTH, 3, 3, padding=1)

    def forward(self, faces: Tensor) -> Tensor:
        """Restores faces.

        Raises:
            ValueError: sides that are no multiple of 32 px.
        """
        height, width = faces.shape[-2:]
        if height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
            raise ValueError(
                f"a face's sides must be multiples of {SIZE_MULTIPLE} px, not {width} x {height} px"
            )
        x = self.fc(_resized(faces, (height // SIZE_MULTIPLE, width // SIZE_MULTIPLE)))
        x = self.head_0(x, faces)
        x = self.G_middle_0(_doubled(x), faces)
        x = self.G_middle_1(x, faces)
        for block in (self.up_0, self.up_1, self.up_2, self.up_3):
            x = block(_doubled(x), faces)
        return torch.tanh(self.conv_img(F.leaky_relu(x, 0.2)))


class SpadeBlock(nn.Module):
    """Two convolutions beside a shortcut, which has one of its own where the number of channels changes; each after its norm."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        between = min(before, after)
        self.conv_0 = spectral_norm(nn.Conv2d(before, between, 3, padding=1))
        self.conv_1 = spectral_norm(nn.Conv2d(between, after, 3, padding=1))
        self.norm_0 = ConditionalNorm(before)
        self.norm_1 = ConditionalNorm(between)
        self.changes_width = before != after
        if self.changes_width:
            self.conv_s = spectral_norm(nn.Conv2d(before, after, 1, bias=False))
            self.norm_s = ConditionalNorm(before)

    def forward(self, x: Tensor, faces: Tensor) -> Tensor:
        condition = _resized(faces, x.shape[-2:])
        shortcut = self.conv_s(self.norm_s(x, condition)) if self.changes_width else x
        inner = self.conv_0(F.leaky_relu(self.norm_0(x, condition), 0.2))
        inner = self.conv_1(F.leaky_relu(self.norm_1(inner, condition), 0.2))
        return cast(Tensor, shortcut + inner)


class ConditionalNorm(nn.Module):
    """Batch norm, then a factor and an offset for each position, made from the condition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.param_free_norm = nn.BatchNorm2d(width, affine=False)
        self.mlp_shared = nn.Sequential(nn.Conv2d(3, HIDDEN, 3, padding=1), nn.ReLU(inplace=True))
        self.mlp_gamma = nn.Conv2d(HIDDEN, width, 3, padding=1)
        self.mlp_beta = nn.Conv2d(HIDDEN, width, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """N,C,h,w and the N,3,h,w condition -> N,C,h,w."""
        hidden = self.mlp_shared(condition)
        return cast(
            Tensor, self.param_free_norm(x) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)
        )


def fold_spectral_norms(net: nn.Module) -> nn.Module:
    """Divides each weight by its spectral norm once, in place, where it would be done anew for each call; returns `net`.

    The norm is u^T W v of the vectors that the checkpoint carries, as they are. To be called when the weights are loaded: what is
    left are plain convolutions, whose keys are no longer those of the checkpoint.
    """
    for module in net.modules():
        if hasattr(module, "weight_orig"):
            remove_spectral_norm(module)
    return net


def _resized(faces: Tensor, size: tuple[int, ...]) -> Tensor:
    return F.interpolate(faces, size, mode="bilinear", align_corners=False)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
