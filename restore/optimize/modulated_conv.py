"""StyleGAN2's modulated convolution (Karras et al., CVPR 2020) with its features scaled instead of its filters: the same sum, reordered.

The filters then are the same for every face: they need no new layout at each call, and faces of a batch share them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeatureModulatedConv2d(nn.Module):
    """conv(x, w * s) as conv(x * s, w), and the demodulation as a factor of each output channel.

    Args:
        filters: OxIxKxK; zero padding keeps the size.
        modulation: style -> I scales.
        enlargement: of the features before, bilinear.
        eps: below the root of the demodulation; None for none.
    """

    def __init__(
        self, filters: Tensor, modulation: nn.Module, *, enlargement: float, eps: float | None
    ) -> None:
        super().__init__()
        outer, inner, side, _ = filters.shape
        self.conv = nn.Conv2d(inner, outer, side, padding=side // 2, bias=False)
        self.conv.weight = nn.Parameter(filters, requires_grad=False)
        self.modulation = modulation
        self.squares = nn.Buffer(filters.square().sum(dim=(2, 3)))
        self.enlargement, self.eps = enlargement, eps

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """NxIxHxW and NxS -> NxOx(HxW, enlarged)."""
        scales = self.modulation(style)
        if self.enlargement != 1.0:
            features = F.interpolate(
                features, scale_factor=self.enlargement, mode="bilinear", align_corners=False
            )
        result: Tensor = self.conv(features * scales[..., None, None])
        if self.eps is None:
            return result
        return (
            result
            * torch.rsqrt(F.linear(scales.square(), self.squares) + self.eps)[..., None, None]
        )
