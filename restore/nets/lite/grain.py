"""Film grain: reproducible white noise, frequency bands, and the filters that shape the noise."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

SCALE = 4  # output samples per input pixel along each side
BAND_SIGMAS_PX = (0.8, 1.6, 3.2)  # bands are differences of Gaussians with these deviations
# Share of the lost texture that is synthesised in each band. Noise in the finest band is the most
# visible and resembles real texture the least.
BAND_SHARES = (0.04, 0.14, 0.4)
NOISE_RADIUS_PX = 3  # of the input: the noise within this distance forms the grain of a pixel
HASH_WINDOW_PX = 5  # of the input: the pixels in this window determine the noise of its centre
HASH_MASK = 2**31 - 1  # keeps products with the multipliers below within 64 bits
CHANNEL_WEIGHTS = (1 << 16, 1 << 8, 1)  # pack 8-bit red, green and blue into one number
ROW_MULTIPLIER, COLUMN_MULTIPLIER, MIX_MULTIPLIER = 1_597_334_677, 747_796_405, 277_803_737


def hash_noise(photo: Tensor) -> Tensor:
    """Compute white noise of unit variance as a hash of the photo.

    The noise of a pixel depends on the 8-bit colours in a window around it only. It is therefore
    the same in every tile, run and device. Where the colours do not change along one of four
    directions, as in flat areas and drawings, it would show as streaks; it is 0 there.

    Args:
        photo: Nx3xHxW in [0, 1].

    Returns:
        Nx16xHxW, that is 4x4 samples for each pixel.
    """
    levels = (photo.float() * 255.0).round().clamp(0.0, 255.0).to(torch.int64)
    padded = F.pad(levels, (HASH_WINDOW_PX // 2,) * 4, mode="replicate")
    weights = padded.new_tensor(CHANNEL_WEIGHTS).view(1, -1, 1, 1)
    colours = (padded * weights).sum(dim=1, keepdim=True)
    numbers = []
    hashed = _hash_windows(colours)
    for _ in range(SCALE**2 // 2):
        hashed = (hashed ^ (hashed >> 15)) * MIX_MULTIPLIER & HASH_MASK
        # Two numbers of 15 bits each.
        numbers += [(bits + 0.5).to(photo.dtype) for bits in (hashed >> 16, hashed & 0x7FFF)]
    uniform = torch.cat(numbers, 1).div_(2**15).sub_(0.5)
    return uniform.mul_(math.sqrt(12.0) * _varies_in_all_directions(colours, photo.dtype))


def _varies_in_all_directions(colours: Tensor, dtype: torch.dtype) -> Tensor:
    """Return 1 where colours change along each of four directions in the window, else 0."""
    above, below = colours[..., :-1, :], colours[..., 1:, :]
    pairs = [
        (above[..., 1:], above[..., :-1]),
        (below[..., :-1], above[..., :-1]),
        (below[..., 1:], above[..., :-1]),
        (below[..., :-1], above[..., 1:]),
    ]
    changes = torch.cat([first != second for first, second in pairs], 1).to(dtype)
    return F.max_pool2d(changes, HASH_WINDOW_PX - 1, 1).amin(dim=1, keepdim=True)


def _hash_windows(colours: Tensor) -> Tensor:
    """Return a polynomial hash of each window, computed along rows and then along columns."""
    hashed = colours
    for dim, multiplier in ((3, ROW_MULTIPLIER), (2, COLUMN_MULTIPLIER)):
        length = hashed.shape[dim] - HASH_WINDOW_PX + 1
        first, *others = (hashed.narrow(dim, start, length) for start in range(HASH_WINDOW_PX))
        hashed = first
        for values in others:
            hashed = (hashed * multiplier + values) & HASH_MASK
    return hashed


def split_bands(plane: Tensor) -> Tensor:
    """Split a plane into differences of Gaussians, from fine to coarse.

    Args:
        plane: Nx1xHxW with sides of at least 10.

    Returns:
        Nx3xHxW.
    """
    smooth, split = plane, []
    for previous_px, sigma_px in zip((0.0, *BAND_SIGMAS_PX), BAND_SIGMAS_PX, strict=False):
        added_px = math.sqrt(sigma_px**2 - previous_px**2)
        smoother = gaussian_blur(smooth, 2 * math.ceil(3.0 * added_px) + 1, added_px)
        split.append(smooth - smoother)
        smooth = smoother
    return torch.cat(split, 1)


def gaussian_blur(images: Tensor, size_px: int, sigma_px: float) -> Tensor:
    """Blur with a normalised size_px x size_px Gaussian kernel and reflected borders.

    Computes the same as torchvision.transforms.functional.gaussian_blur.

    Args:
        images: NxCxHxW floats.
        size_px: odd side of the kernel.
        sigma_px: standard deviation.
    """
    border = size_px // 2
    offsets = torch.linspace(-border, border, size_px, dtype=images.dtype, device=images.device)
    weights = torch.exp(-0.5 * (offsets / sigma_px).square())
    weights = weights / weights.sum()
    channels = images.shape[1]
    kernel = torch.mm(weights[:, None], weights[None]).expand(channels, 1, size_px, size_px)
    return F.conv2d(F.pad(images, (border,) * 4, mode="reflect"), kernel, groups=channels)


def build_grain_filters() -> Tensor:
    """Build the filters that turn white noise into the bands of the grain.

    Returns:
        48x16x7x7: from 16 noise samples for each input pixel to 16 samples of each of three
        bands. The standard deviation of each band is its share in BAND_SHARES.
    """
    side = 2 * SCALE * NOISE_RADIUS_PX + 1
    impulse = torch.zeros(1, 1, side, side)
    impulse[..., SCALE * NOISE_RADIUS_PX, SCALE * NOISE_RADIUS_PX] = 1.0
    kernels = split_bands(impulse)[0]
    norms = kernels.square().sum(dim=(1, 2)).sqrt()
    kernels = kernels * (torch.tensor(BAND_SHARES) / norms).view(-1, 1, 1)
    # The weight between an output sample and a noise sample depends on their distance, which
    # consists of whole pixels and of the difference of their positions within a pixel.
    width = 2 * NOISE_RADIUS_PX + 1
    padded = F.pad(kernels, (SCALE - 1,) * 4)
    filters = torch.zeros(len(BAND_SHARES), SCALE, SCALE, SCALE, SCALE, width, width)
    for out_y, out_x, in_y, in_x in itertools.product(range(SCALE), repeat=4):
        rows = slice(SCALE - 1 + in_y - out_y, None, SCALE)
        columns = slice(SCALE - 1 + in_x - out_x, None, SCALE)
        filters[:, out_y, out_x, in_y, in_x] = padded[:, rows, columns][:, :width, :width]
    return filters.view(len(BAND_SHARES) * SCALE**2, SCALE**2, width, width)
