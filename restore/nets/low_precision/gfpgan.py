"""GFPGAN (Wang et al., CVPR 2021) below float32.

In half precision, a modulated convolution overflows with large styles. Here its weights have unit
norm and its scales are at most one; what was divided out is multiplied back in float32.
StyleGAN2-ADA normalises its float16 layers in a similar way (Karras et al., NeurIPS 2020).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.low_precision.layers import Float32Module, convert_floats
from restore.nets.modulated_conv import FeatureModulatedConv2d

_MIN_NORM = 1e-12


class Demodulation(nn.Module):
    """Compute 1 / |w * s| per output channel from normalised weights and scales."""

    def __init__(self, norms: Tensor, squares: Tensor, eps: float) -> None:
        super().__init__()
        self.norms, self.squares, self.eps = nn.Buffer(norms), nn.Buffer(squares), eps

    def forward(self, scales: Tensor, max_scale: Tensor) -> Tensor:
        eps = self.eps / (max_scale * self.norms).square()
        return torch.rsqrt(F.linear(scales.square(), self.squares) + eps)


class Denormalization(nn.Module):
    """Return the product of the norm of the weights and the largest scale."""

    def __init__(self, norms: Tensor) -> None:
        super().__init__()
        self.norms = nn.Buffer(norms)

    def forward(self, scales: Tensor, max_scale: Tensor) -> Tensor:
        del scales
        return max_scale * self.norms


class NormalizedModulatedConv2d(nn.Module):
    """StyleGAN2's modulated convolution for half precision.

    Without demodulation (to RGB), the output is float32, so that the images of all scales are
    summed in float32.

    Args:
        source: the convolution; its modules are shared and its weights normalised in place.
    """

    def __init__(self, source: FeatureModulatedConv2d) -> None:
        super().__init__()
        weight = source.conv.weight.detach().float()
        norms = weight.square().sum(dim=(1, 2, 3)).sqrt().clamp_min(_MIN_NORM)
        normalized = weight / norms[:, None, None, None]
        self.conv = source.conv
        self.conv.weight = nn.Parameter(normalized, requires_grad=False)
        self.modulation = Float32Module(source.modulation)
        self.demodulates = source.eps is not None
        factors: nn.Module = Denormalization(norms)
        if source.eps is not None:
            factors = Demodulation(norms, normalized.square().sum(dim=(2, 3)), source.eps)
        self.factors = Float32Module(factors)
        self.enlargement = source.enlargement

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        """Compute NxOxH'xW' from NxIxHxW features and NxS styles; H' = enlargement * H."""
        scales = self.modulation(style)
        max_scale = scales.abs().amax(dim=1, keepdim=True).clamp_min(_MIN_NORM)
        scales = scales / max_scale
        if self.enlargement != 1.0:
            features = F.interpolate(
                features, scale_factor=self.enlargement, mode="bilinear", align_corners=False
            )
        result: Tensor = self.conv(features * scales.to(features.dtype)[..., None, None])
        factors: Tensor = self.factors(scales, max_scale)[..., None, None]
        if self.demodulates:
            return result * factors.to(result.dtype)
        return result.float() * factors


class LowPrecisionGfpgan(nn.Module):
    """GFPGAN: Nx3x512x512 faces in [-1, 1] to the same, float32; the noise is the checkpoint's.

    Args:
        net: the network with feature-modulated convolutions; it is converted in place.
        dtype: precision of the features.
    """

    def __init__(self, net: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        for parent in list(net.modules()):
            for name, child in parent.named_children():
                if isinstance(child, FeatureModulatedConv2d):
                    setattr(parent, name, NormalizedModulatedConv2d(child))
        self.net: Any = convert_floats(net, dtype)
        self.dtype = dtype

    def forward(self, faces: Tensor) -> Tensor:
        output = self.net(faces.to(self.dtype), return_rgb=False, randomize_noise=False)
        image: Tensor = output[0]
        return image.float()
