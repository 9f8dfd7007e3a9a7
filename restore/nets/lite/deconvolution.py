"""Wiener deconvolution of a photo with a known blur kernel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from restore.nets.lite.fourier import (
    gradient_spectra,
    power_sum,
    taper_borders,
    transfer_function,
)

PADDING_PX = (
    32  # border added before the transform, so that its wrap-around stays outside the photo
)
TAPER_PX = PADDING_PX // 2 + 8
SIZE_MULTIPLE = 16  # padded sides are multiples of this, which have fast transforms
FLAT_SIGNAL_POWER = 0.05  # added to the gradient power, which is zero at frequency zero


def wiener_deconvolve(photo: Tensor, kernel: Tensor, noise_ratios: Sequence[float]) -> Tensor:
    """Deconvolve a photo with a Wiener filter, once for each assumed noise level.

    The prior of the sharp photo is white noise in its gradients.

    Args:
        photo: 3xHxW, blurred.
        kernel: KxK blur kernel that sums to 1.
        noise_ratios: N ratios of noise power to gradient power. Larger values give smoother output.

    Returns:
        Nx3xHxW, not clamped.
    """
    height, width = photo.shape[-2:]
    tapered, _ = taper_borders(_pad(photo), TAPER_PX)
    size = (tapered.shape[-2], tapered.shape[-1])
    blur = transfer_function(kernel, size)
    gradient_power = power_sum(*gradient_spectra(size, tapered))
    numerator, power = blur.conj() * torch.fft.rfft2(tapered), blur.abs().square()
    restored = torch.stack(
        [
            torch.fft.irfft2(
                numerator / (power + ratio * (gradient_power + FLAT_SIGNAL_POWER)), s=size
            )
            for ratio in noise_ratios
        ]
    )
    return restored[..., PADDING_PX : PADDING_PX + height, PADDING_PX : PADDING_PX + width]


def _pad(photo: Tensor) -> Tensor:
    """Pad by reflection as far as the photo reaches, then by replication; 3xHxW."""
    height, width = photo.shape[-2:]
    reflected_y, reflected_x = (min(PADDING_PX, length - 1) for length in (height, width))
    replicated_y, replicated_x = PADDING_PX - reflected_y, PADDING_PX - reflected_x
    reflected = F.pad(
        photo[None], (reflected_x, reflected_x, reflected_y, reflected_y), mode="reflect"
    )
    extra_x, extra_y = (-(length + 2 * PADDING_PX) % SIZE_MULTIPLE for length in (width, height))
    return F.pad(
        reflected,
        (replicated_x, replicated_x + extra_x, replicated_y, replicated_y + extra_y),
        mode="replicate",
    )[0]
