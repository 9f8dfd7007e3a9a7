"""Integer levels of a photo on a device: uint8, or int32 for photos of 16 bits."""

from __future__ import annotations

import torch
from torch import Tensor

_LUMINANCE = (0.299, 0.587, 0.114)


def largest_level(levels: Tensor) -> float:
    """Return the largest level of integers, 255 or 65535."""
    return 255.0 if levels.dtype == torch.uint8 else 65535.0


def to_unit(levels: Tensor) -> Tensor:
    """Convert integer levels to float32 in [0, 1]."""
    return levels.to(torch.float32) / largest_level(levels)


def to_levels(values: Tensor, like: Tensor) -> Tensor:
    """Round float levels half to even, clip them, and convert them to the type of `like`.

    Args:
        values: float levels of any shape, from 0 to 255 or 65535.
        like: integer levels.
    """
    return values.round().clamp_(0.0, largest_level(like)).to(like.dtype)


def luminance(planes: Tensor) -> Tensor:
    """Convert Nx3xHxW float planes to Nx1xHxW luminance (BT.601); Nx1xHxW are returned as such."""
    if planes.shape[1] == 1:
        return planes
    red, green, blue = (planes[:, index : index + 1] for index in range(3))
    return red * _LUMINANCE[0] + green * _LUMINANCE[1] + blue * _LUMINANCE[2]
