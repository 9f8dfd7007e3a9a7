"""The embedded upscaler for photos with blur, noise and JPEG: a Compact network with film grain.

It was trained in this project (training/). Where the texture of a photo is lost, the output of a
regression is smooth. The network therefore also predicts how strong the lost texture is at each
position, in three frequency bands, and a share of it is synthesised as noise in these bands, as
film grain is for video (Norkin & Birkbeck, DCC 2018).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.lite.grain import (
    BAND_SIGMAS_PX,
    NOISE_RADIUS_PX,
    SCALE,
    build_grain_filters,
    hash_noise,
)

FEATURES, CONVOLUTIONS = 48, 18  # of the Compact network
GRAIN_CHANNELS = 16
MAX_GRAIN = 0.2  # standard deviation of one band, for samples in [0, 1]


class LiteUpscale(nn.Module):
    """Upscale 4x with film grain: Nx3xHxW RGB in [0, 1] to Nx3x(4H)x(4W). Grey stays grey.

    During training the output is the picture without grain. Nx6x(4H)x(4W), with the standard
    deviation of the grain in each band, is returned if the grain is trained too.

    Args:
        picture: a Compact network with FEATURES channels, CONVOLUTIONS convolutions and scale SCALE
            (a library provides it, see restore.models.adapters). It upscales without grain.
    """

    def __init__(self, picture: nn.Module) -> None:
        super().__init__()
        self.picture = picture
        self.grain = nn.Sequential(
            nn.Conv2d(FEATURES, GRAIN_CHANNELS, 3, padding=1),
            nn.PReLU(GRAIN_CHANNELS),
            nn.Conv2d(GRAIN_CHANNELS, GRAIN_CHANNELS, 3, padding=2, dilation=2),
            nn.PReLU(GRAIN_CHANNELS),
            nn.Conv2d(GRAIN_CHANNELS, len(BAND_SIGMAS_PX), 3, padding=1),
        )
        with torch.device("cpu"):  # not on the meta device, because no file contains the filters
            self.filters = nn.Buffer(build_grain_filters(), persistent=False)

    def forward(self, photo: Tensor) -> Tensor:
        features = photo
        *layers, last = cast(nn.ModuleList, self.picture.body)
        for layer in layers:
            features = layer(features)
        # Detached: the loss of the grain must not change the picture.
        strength = MAX_GRAIN * self.grain(features.detach()).sigmoid()
        picture = F.pixel_shuffle(last(features), SCALE)
        del features  # for large photos it needs as much memory as the picture
        picture = picture.add_(F.interpolate(photo, scale_factor=SCALE, mode="nearest"))
        if self.training:
            is_grain_trained = strength.requires_grad
            return torch.cat([picture, _upsample(strength)], 1) if is_grain_trained else picture
        return picture.add_(self._synthesise_grain(photo, strength))

    def _synthesise_grain(self, photo: Tensor, strength: Tensor) -> Tensor:
        """Return Nx1x(4H)x(4W) grain for the Nx3xHxW strengths of its bands."""
        noise = F.pad(hash_noise(photo), (NOISE_RADIUS_PX,) * 4, mode="replicate")
        bands = F.pixel_shuffle(F.conv2d(noise, self.filters), SCALE)
        return bands.mul_(_upsample(strength)).sum(dim=1, keepdim=True)


def _upsample(strength: Tensor) -> Tensor:
    return F.interpolate(strength, scale_factor=SCALE, mode="bilinear", align_corners=False)
