"""StyleGAN2's modulated convolution, computed by scaling features instead of weights.

All images of a batch then share the weights, and no weights are computed per call (Karras et al.,
CVPR 2020). The result is the same sum in another order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FeatureModulatedConv2d(nn.Module):
    """Compute conv(x, w * s) as conv(x * s, w), and demodulate by a factor per output channel.

    Args:
        filters: OxIxKxK weights; zero padding keeps the size.
        modulation: layer that computes I scales from a style.
        enlargement: bilinear scale factor that is applied to the features first.
        eps: added to the sum of squares before the square root of the demodulation; None for no
            demodulation.
    """

    def __init__(
        self, filters: Tensor, modulation: nn.Module, *, enlargement: float, eps: float | None
    ) -> None:
        super().__init__()
        out_channels, in_channels, side, _ = filters.shape
        self.conv = nn.Conv2d(in_channels, out_channels, side, padding=side // 2, bias=False)
        self.conv.weight = nn.Parameter(filters, requires_grad=False)
        self.modulation = modulation
        self.squares = nn.Buffer(filters.square().sum(dim=(2, 3)))
        self.enlargement, self.eps = enlargement, eps

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Compute NxOxH'xW' from NxIxHxW features and NxS styles; H' = enlargement * H."""
        scales = self.modulation(style)
        if self.enlargement != 1.0:
            features = F.interpolate(
                features, scale_factor=self.enlargement, mode="bilinear", align_corners=False
            )
        result: Tensor = self.conv(features * scales[..., None, None])
        if self.eps is None:
            return result
        demodulation = torch.rsqrt(F.linear(scales.square(), self.squares) + self.eps)
        return result * demodulation[..., None, None]
