"""Conversion of arrays to tensors."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_tensor(pixels: np.ndarray) -> Tensor:
    """Convert HxWxC uint8 pixels to a 1xCxHxW float32 tensor in [0, 1]."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].to(torch.float32) / 255.0


def to_pixels(tensor: Tensor) -> np.ndarray:
    """Convert a CxHxW tensor in [0, 1] to HxWxC uint8 pixels, clipped and rounded."""
    return np.asarray(np.rint(tensor.clamp(0, 1).permute(1, 2, 0).numpy() * 255.0), np.uint8)


def to_batch(patches: list[np.ndarray]) -> Tensor:
    """Stack patches into a batch in channels-last memory layout, the fastest for these networks.

    Args:
        patches: HxWxC arrays: uint8, scaled to [0, 1], or float32, used as they are.

    Returns:
        NxCxHxW float32.
    """
    stacked = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2)
    scaled = stacked.to(torch.float32).div_(255.0) if stacked.dtype == torch.uint8 else stacked
    return scaled.contiguous(memory_format=torch.channels_last)
