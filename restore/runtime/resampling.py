"""Resizing of tensors on a device, with the filters of OpenCV.

The host path resizes with OpenCV, so the device path uses the same positions, weights and borders.
Every filter is separable: each output pixel of an axis is a weighted sum of a few input pixels,
which one table for each axis describes.
"""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_CUBIC_A = -0.75  # of OpenCV
_RADII = {cv2.INTER_LINEAR: 1, cv2.INTER_CUBIC: 2, cv2.INTER_LANCZOS4: 4}


def resize_planes(planes: Tensor, size: tuple[int, int], interpolation: int) -> Tensor:
    """Resize planes as `cv2.resize` does, without rounding.

    Args:
        planes: ...xHxW float32.
        size: (width, height) of the result.
        interpolation: cv2.INTER_LINEAR, INTER_CUBIC, INTER_LANCZOS4, or INTER_AREA, which only
            reduces.

    Returns:
        ...x(height)x(width) float32; the input itself if it has this size.

    Raises:
        ValueError: another interpolation, or an enlargement by INTER_AREA.
    """
    height, width = planes.shape[-2:]
    if (width, height) == size:
        return planes
    if interpolation == cv2.INTER_AREA and width % size[0] == 0 and height % size[1] == 0:
        factors = (height // size[1], width // size[0])
        flat = planes.reshape(-1, 1, height, width)
        return F.avg_pool2d(flat, factors).reshape(*planes.shape[:-2], size[1], size[0])
    rows = _resample(planes, size[1], -2, interpolation)
    return _resample(rows, size[0], -1, interpolation)


def axis_taps(source_px: int, target_px: int, interpolation: int) -> tuple[np.ndarray, np.ndarray]:
    """Return from which input pixels, and with which weights, OpenCV computes an axis.

    Args:
        source_px: input pixels of the axis.
        target_px: output pixels of the axis.
        interpolation: as in `resize_planes`.

    Returns:
        Indices (int64) and weights (float32), both taps x target_px. The weights of an output
        pixel sum to 1. Beyond the border the outermost pixel repeats.

    Raises:
        ValueError: as in `resize_planes`.
    """
    scale = source_px / target_px
    if interpolation == cv2.INTER_AREA:
        return _area_taps(source_px, target_px, scale)
    if interpolation not in _RADII:
        raise ValueError(f"interpolation {interpolation} is not supported on a device")
    radius = _RADII[interpolation]
    position = (np.arange(target_px) + 0.5) * scale - 0.5
    first = np.floor(position).astype(np.int64)
    offsets = np.arange(1 - radius, radius + 1)[:, None]
    distance = np.abs(position - first - offsets)
    weights = _filter(distance, interpolation)
    weights /= weights.sum(axis=0)
    return np.clip(first + offsets, 0, source_px - 1), weights.astype(np.float32)


def _filter(distance: np.ndarray, interpolation: int) -> np.ndarray:
    """Return the weights at distances of at most the filter's radius, not normalised."""
    if interpolation == cv2.INTER_LINEAR:
        return np.asarray(1 - distance)
    if interpolation == cv2.INTER_LANCZOS4:
        return np.asarray(np.sinc(distance) * np.sinc(distance / 4))
    near = ((_CUBIC_A + 2) * distance - (_CUBIC_A + 3)) * distance**2 + 1
    far = ((_CUBIC_A * distance - 5 * _CUBIC_A) * distance + 8 * _CUBIC_A) * distance
    return np.asarray(np.where(distance <= 1, near, far - 4 * _CUBIC_A))


def _area_taps(source_px: int, target_px: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the taps of a reduction: every input pixel counts by how much of it is covered."""
    if scale < 1:
        raise ValueError("INTER_AREA only reduces on a device")
    start = np.arange(target_px) * scale
    first = np.floor(start + 1e-9).astype(np.int64)
    taps = first + np.arange(math.ceil(scale) + 1)[:, None]
    covered = np.minimum(taps + 1, start + scale) - np.maximum(taps, start)
    weights = np.clip(covered, 0, 1)
    weights /= weights.sum(axis=0)
    return np.clip(taps, 0, source_px - 1), weights.astype(np.float32)


@functools.lru_cache(maxsize=64)
def _device_taps(
    source_px: int, target_px: int, interpolation: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return `axis_taps` on a device; cached, because photos of one size are frequent."""
    indices, weights = axis_taps(source_px, target_px, interpolation)
    return torch.from_numpy(indices).to(device), torch.from_numpy(weights).to(device)


def _resample(planes: Tensor, target_px: int, axis: int, interpolation: int) -> Tensor:
    source_px = planes.shape[axis]
    if source_px == target_px:
        return planes
    indices, weights = _device_taps(source_px, target_px, interpolation, planes.device)
    result: Tensor | None = None
    for index, weight in zip(indices, weights, strict=True):
        taken = planes.index_select(axis, index)
        factors = weight[:, None] if axis == -2 else weight
        result = taken.mul_(factors) if result is None else result.addcmul_(taken, factors)
    assert result is not None, "every filter has taps"
    return result
