"""Conversions between numpy images and tensors."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
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


def to_planes(pixels: np.ndarray, device: torch.device) -> Tensor:
    """Convert pixels to a float32 tensor in [0, 1] on a device.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16; may be read-only.
        device: where the tensor is placed.

    Returns:
        3xHxW, contiguous; three equal planes for grey pixels.
    """
    largest = float(np.iinfo(pixels.dtype).max)
    # torch supports few operations on uint16. `astype` copies, so read-only pixels are fine.
    host = pixels.astype(np.int32 if pixels.dtype == np.uint16 else pixels.dtype)
    tensor = torch.from_numpy(host).to(device).to(torch.float32) / largest
    planes = tensor.expand(3, *tensor.shape) if pixels.ndim == 2 else tensor.permute(2, 0, 1)
    return planes.contiguous()


def quantise(planes: Tensor, dtype: np.dtype, *, grey: bool) -> np.ndarray:
    """Convert float planes to pixels on the host, clamped and rounded half to even.

    Args:
        planes: 3xHxW, nominally in [0, 1].
        dtype: uint8 or uint16.
        grey: return HxW luminance (BT.601) instead of HxWx3.
    """
    largest = float(np.iinfo(dtype).max)
    image = planes.float().clamp(0.0, 1.0).permute(1, 2, 0)
    if grey:
        luminance = cv2.cvtColor(np.ascontiguousarray(image.cpu().numpy()), cv2.COLOR_RGB2GRAY)
        return np.asarray(np.rint(luminance * np.float32(largest)), dtype)
    levels = (image * largest).round()
    if dtype == np.uint8:
        return levels.to(torch.uint8).cpu().numpy()
    return levels.to(torch.int32).cpu().numpy().astype(dtype)
