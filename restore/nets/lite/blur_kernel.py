"""Operations on square blur kernels: KxK tensors with K odd and a sum of 1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def identity_kernel(side_px: int, like: Tensor) -> Tensor:
    """Return the kernel that does not blur, with the dtype and device of `like`."""
    kernel = torch.zeros(side_px, side_px, dtype=like.dtype, device=like.device)
    kernel[side_px // 2, side_px // 2] = 1.0
    return kernel


def normalise_kernel(kernel: Tensor) -> Tensor:
    """Scale a kernel to a sum of 1. An empty kernel becomes the identity."""
    total = float(kernel.sum())
    return kernel / total if total > 1e-6 else identity_kernel(kernel.shape[-1], kernel)


def centre_kernel(kernel: Tensor) -> Tensor:
    """Shift a kernel so that its centre of mass lies in the middle.

    Blind estimation cannot tell a shift of the kernel from a shift of the photo.
    """
    side = kernel.shape[-1]
    offsets = torch.arange(side, dtype=kernel.dtype, device=kernel.device) - side // 2
    x, y = (kernel.sum(dim=0) * offsets).sum(), (kernel.sum(dim=1) * offsets).sum()
    shift = torch.eye(2, 3, dtype=kernel.dtype, device=kernel.device)
    shift[:, 2] = 2.0 * torch.stack([x, y]) / side
    grid = F.affine_grid(shift[None], [1, 1, side, side], align_corners=False)
    return normalise_kernel(F.grid_sample(kernel[None, None], grid, align_corners=False)[0, 0])


def resize_kernel(kernel: Tensor, side_px: int) -> Tensor:
    """Resample a kernel to another side by bicubic interpolation, then centre it."""
    resized = F.interpolate(
        kernel[None, None], size=(side_px, side_px), mode="bicubic", align_corners=False
    )[0, 0]
    return centre_kernel(normalise_kernel(resized.clamp_min(0.0)))


def kernel_entropy(kernel: Tensor) -> float:
    """Return the entropy in nats: 0 for a point, log(n) for n equal values."""
    return float(torch.special.entr(kernel).sum())


def kernel_spread_px(kernel: Tensor) -> float:
    """Return the root mean square distance from the middle in pixels: 0 for a point."""
    side = kernel.shape[-1]
    squares = (torch.arange(side, dtype=kernel.dtype, device=kernel.device) - side // 2).square()
    return float((kernel * (squares[:, None] + squares[None])).sum().sqrt())
