"""The embedded denoiser: a residual U-Net whose finest scale is half of the photo's size.

Trained here (weights/lite) on photos with noise that nobody tells it the strength of. It works behind a pixel unshuffle, as FFDNet does
(Zhang et al., IEEE TIP 2018): four pixels at once are as much to learn from, at a quarter of the cost.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from restore.nets.residual import UNet, blocks, start_as_identities

WIDTHS = (64, 64, 80)  # channels at 1/2, 1/4 and 1/8 of the size
MULTIPLE = 8


class LiteDenoise(UNet):
    """Nx3xHxW RGB in [0, 1] -> the same, denoised (not clamped); any size, padded inside to a multiple of 8."""

    def __init__(self) -> None:
        super().__init__(WIDTHS, blocks, blocks(WIDTHS[-1]))
        self.noise_head = nn.Conv2d(12, WIDTHS[0], 3, padding=1)
        self.tail = nn.Conv2d(WIDTHS[0], 12, 3, padding=1)
        start_as_identities(self)
        nn.init.zeros_(self.tail.weight)

    def forward(self, photos: Tensor) -> Tensor:
        height, width = photos.shape[-2:]
        # Reflection needs more pixels than it adds, which a tiny picture has not.
        padded = F.pad(photos, (0, -width % MULTIPLE, 0, -height % MULTIPLE), mode="replicate")
        x = self.noise_head(F.pixel_unshuffle(padded - 0.5, 2))
        noise = F.pixel_shuffle(self.tail(self.through_scales(x)), 2)
        return (padded + noise)[..., :height, :width]
