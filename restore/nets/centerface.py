"""CenterFace (Xu et al., 2019, arXiv:1911.03599): a face detector without anchors.

MobileNetV2 with a feature pyramid. Each position of the output, at a quarter of the input's
resolution, may be the centre of a face. The batch norms are folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDE_PX = 4
"""Pixels of the input for one position of the output."""

SIZE_MULTIPLE = 32
"""The sides of the input are multiples of this."""

CROP_PX = 192
"""Side of the crops of faces that `CenterFace.in_crops` takes."""

PYRAMID_CHANNELS = 24

HAS_ONEDNN = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
"""Whether torch was built with oneDNN, the library of its convolutions on a CPU."""

_STAGES = ((16, 1, 1), (24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))
"""Output channels, stride of the first block and number of blocks of each stage."""

_LATERAL_STAGES = (1, 2, 4)
"""The last stages at a stride of 4, 8 and 16."""

HEAD_STAGES = (2, 4)
_HEAD_STRIDES_PX = (8, 16)
_HEAD_CHANNELS = (4, 8)
"""The stages that `LandmarkHead` sees, and the channels that it reduces them to."""

HEAD_DROPOUT = 0.3
"""Share of the features that are dropped in training."""


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
        self.landmarks = LandmarkHead()

    def forward(self, photos: Tensor) -> Tensor:
        return self._pyramid(self.features(photos))

    def in_crops(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output of `forward` and that of `LandmarkHead` for aligned crops.

        Args:
            crops: Nx3xCROP_PXxCROP_PX, as for `forward`.
        """
        features = self.features(crops)
        return self._pyramid(features), self.landmarks([features[stage] for stage in HEAD_STAGES])

    def features(self, photos: Tensor) -> list[Tensor]:
        """Return the output of each stage."""
        if can_fuse(photos):  # oneDNN is fastest in this layout
            photos = photos.contiguous(memory_format=torch.channels_last)
        x = conv_relu(self.stem, photos)
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features

    def _pyramid(self, features: list[Tensor]) -> Tensor:
        x = conv_relu(self.top, features[-1])
        for stage, reduce, enlarge in zip(
            reversed(_LATERAL_STAGES),
            reversed(self.laterals),
            reversed(self.enlargers),
            strict=True,
        ):
            x = F.relu(enlarge(x)) + conv_relu(reduce, features[stage])
        outputs: Tensor = self.heads(conv_relu(self.smooth, x))
        return outputs


class LandmarkHead(nn.Module):
    """Locate landmarks in aligned crops of CROP_PX; not part of the published network.

    The output is Nx5x2: the deviations of the landmarks from the template that the crops are
    aligned to, x and y, in distances between the eyes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reducers = nn.ModuleList(
            nn.Conv2d(_STAGES[stage][0], channels, 1)
            for stage, channels in zip(HEAD_STAGES, _HEAD_CHANNELS, strict=True)
        )
        self.dropout = nn.Dropout(HEAD_DROPOUT)
        inputs = sum(
            channels * (CROP_PX // stride_px) ** 2
            for channels, stride_px in zip(_HEAD_CHANNELS, _HEAD_STRIDES_PX, strict=True)
        )
        self.points = nn.Linear(inputs, 10)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Take the outputs of HEAD_STAGES."""
        reduced = [
            F.relu(reduce(feature)).flatten(1)
            for feature, reduce in zip(features, self.reducers, strict=True)
        ]
        points: Tensor = self.points(self.dropout(torch.cat(reduced, dim=1)))
        return points.reshape(-1, 5, 2)


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
