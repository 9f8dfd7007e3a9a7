"""Fourier-domain helpers for blur kernel estimation and deconvolution.

Images are treated as periodic: the row after the last one is the first one.
Spectra are half spectra as `torch.fft.rfft2` returns them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def horizontal_gradient(image: Tensor) -> Tensor:
    """Return the forward difference of each pixel to the next pixel of its row; HxW."""
    return torch.roll(image, -1, 1) - image


def vertical_gradient(image: Tensor) -> Tensor:
    """Return the forward difference of each pixel to the next pixel of its column; HxW."""
    return torch.roll(image, -1, 0) - image


def gradient_spectra(size: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the spectra of the horizontal and the vertical gradient filter for HxW images.

    Args:
        size: (height, width) of the images.
        like: a tensor on the device of the images.
    """
    filters = torch.zeros(2, *size, dtype=torch.float32, device=like.device)
    filters[:, 0, 0] = -1.0
    filters[0, 0, -1] = filters[1, -1, 0] = 1.0
    horizontal, vertical = torch.fft.rfft2(filters)
    return horizontal, vertical


def power_sum(first: Tensor, second: Tensor) -> Tensor:
    """Return the sum of the squared magnitudes of two tensors, element by element."""
    return first.abs().square() + second.abs().square()


def transfer_function(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the spectrum of a square blur kernel, its centre at the origin of an image.

    Args:
        kernel: KxK, K odd.
        size: (height, width) of the image.
    """
    side = kernel.shape[-1]
    padded = torch.zeros(
        max(size[0], side), max(size[1], side), dtype=kernel.dtype, device=kernel.device
    )
    padded[:side, :side] = kernel
    shifted = torch.roll(padded, (-(side // 2), -(side // 2)), (0, 1))
    spectrum: Tensor = torch.fft.rfft2(shifted[: size[0], : size[1]])
    return spectrum


def taper_borders(image: Tensor, border_px: int) -> tuple[Tensor, Tensor]:
    """Blend an image into a blurred copy of itself near its borders.

    This removes the edge that the periodic continuation of the image would have.

    Args:
        image: HxW or CxHxW.
        border_px: width of the blended border.

    Returns:
        (the tapered image, the HxW weight of the original image in it)
    """
    windows, size = [], image.shape[-2:]
    for length in size:
        positions = torch.arange(length, dtype=image.dtype, device=image.device) + 0.5
        distance = (torch.minimum(positions, length - positions) / border_px).clamp_max(1.0)
        windows.append(0.5 - 0.5 * torch.cos(torch.pi * distance))
    weight = windows[0][:, None] * windows[1][None]
    radius = min(border_px, *(length - 1 for length in size))
    offsets = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    gaussian = torch.exp(-0.5 * (offsets / max(border_px / 2, 1.0)).square())
    gaussian = gaussian / gaussian.sum()
    padded = F.pad(image.reshape(-1, 1, *size), (radius,) * 4, mode="circular")
    blurred_columns = F.conv2d(padded, gaussian.view(1, 1, -1, 1))
    blurred = F.conv2d(blurred_columns, gaussian.view(1, 1, 1, -1)).view(image.shape)
    return weight * image + (1.0 - weight) * blurred, weight
