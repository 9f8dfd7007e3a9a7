"""Conversions between numpy images and batches of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def to_batch(images: Sequence[np.ndarray], device: torch.device) -> Tensor:
    """Stack images to a batch on a device, in channels-last memory layout.

    Args:
        images: at least one HxWxC array, all of one shape; converted to float32, not rescaled.
        device: where the batch is placed.

    Returns:
        NxCxHxW float32 tensor.
    """
    stacked = np.stack([image.astype(np.float32, copy=False) for image in images])
    return torch.from_numpy(stacked).permute(0, 3, 1, 2).to(device)
