"""CenterFace (Xu et al., 2019, arXiv:1911.03599): a face detector without anchors.

MobileNetV2 with a feature pyramid. Each position of the output, at a quarter of the input's
resolution, may be the centre of a face. The batch norms are folded into the convolutions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE_PX = 4
"""Pixels of the input for one position of the output."""

SIZE_MULTIPLE = 32
"""The sides of the input are multiples of this."""

PYRAMID_CHANNELS = 24

HAS_ONEDNN = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]

_STAGES = ((16, 1, 1), (24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))
"""Output channels, stride of the first block and number of blocks of each stage."""

_LATERAL_STAGES = (1, 2, 4)
"""The last stages at a stride of 4, 8 and 16."""


class CenterFace(nn.Module):
    """Find faces: Nx3xHxW RGB, levels of 0 to 255, sides multiples of SIZE_MULTIPLE.

    The output is Nx15x(H/4)x(W/4): the logit of a face with its centre there; the logarithms of
    height and width in units of 4 px; the offset of the centre, y and x, in units of 4 px; y and x
    of the five landmarks, from the upper left corner of the box, as fractions of its sides.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, stride=2, padding=1)
        self.stages = nn.ModuleList()
        channels = 32
        for index, (width, stride, count) in enumerate(_STAGES):
            blocks: list[nn.Module] = []
            for number in range(count):
                expansion = 6 if index else 1
                blocks.append(InvertedResidual(channels, width, 1 if number else stride, expansion))
                channels = width
            self.stages.append(nn.Sequential(*blocks))
        self.top = nn.Conv2d(channels, PYRAMID_CHANNELS, 1)
        self.laterals = nn.ModuleList(
            nn.Conv2d(_STAGES[index][0], PYRAMID_CHANNELS, 1) for index in _LATERAL_STAGES
        )
        self.enlargers = nn.ModuleList(
            nn.ConvTranspose2d(PYRAMID_CHANNELS, PYRAMID_CHANNELS, 2, stride=2)
            for _ in _LATERAL_STAGES
        )
        self.smooth = nn.Conv2d(PYRAMID_CHANNELS, PYRAMID_CHANNELS, 3, padding=1)
        self.heads = nn.Conv2d(PYRAMID_CHANNELS, 15, 1)
        # Used by restore.faces.landmark_correction; not part of the published network.
        self.correction = nn.Linear(10, 10)

    def forward(self, photos: Tensor) -> Tensor:
        if can_fuse(photos):  # oneDNN is fastest in this layout
            photos = photos.contiguous(memory_format=torch.channels_last)
        x = conv_relu(self.stem, photos)
        laterals: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _LATERAL_STAGES:
                laterals.append(x)
        x = conv_relu(self.top, x)
        for lateral, reduce, enlarge in zip(
            reversed(laterals), reversed(self.laterals), reversed(self.enlargers), strict=True
        ):
            x = F.relu(enlarge(x)) + conv_relu(reduce, lateral)
        outputs: Tensor = self.heads(conv_relu(self.smooth, x))
        return outputs


class InvertedResidual(nn.Module):
    """A block of MobileNetV2 (Sandler et al., CVPR 2018)."""

    def __init__(self, channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = channels * expansion
        self.expand = nn.Conv2d(channels, width, 1) if expansion > 1 else None
        self.filter = nn.Conv2d(width, width, 3, stride=stride, padding=1, groups=width)
        self.reduce = nn.Conv2d(width, out_channels, 1)
        self.is_residual = stride == 1 and channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else conv_relu(self.expand, x)
        y: Tensor = self.reduce(conv_relu(self.filter, wide))
        return x + y if self.is_residual else y


def can_fuse(x: Tensor) -> bool:
    """Whether `conv_relu` computes both in one operation: float32 on a CPU, without gradients."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and HAS_ONEDNN
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
    )


def conv_relu(conv: nn.Module, x: Tensor) -> Tensor:
    """Return the output of a convolution after a ReLU.

    On a CPU the fused operation of oneDNN halves the time of the network, because most of its
    operations wait for memory.

    Args:
        conv: an `nn.Conv2d` with a bias and without padding modes.
        x: NxCxHxW.
    """
    if not can_fuse(x) or not isinstance(conv, nn.Conv2d):
        return F.relu(conv(x))
    fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x,
        conv.weight,
        conv.bias,
        conv.padding,
        conv.stride,
        conv.dilation,
        conv.groups,
        "relu",
        [],
        "",
    )
    return fused
