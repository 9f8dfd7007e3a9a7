"""Filters of planes on a device that equal those of OpenCV: Gaussian blur, erosion and dilation."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

MAX_KEPT_PX = 1024
"""Matrices for longer sides are not kept, which bounds the memory."""


def gaussian_blur(planes: Tensor, side_px: int, sigma_px: float = 0.0) -> Tensor:
    """Blur planes as `cv2.GaussianBlur` does, mirrored at the border without the outermost pixel.

    Args:
        planes: Nx1xHxW float32.
        side_px: odd side of the kernel.
        sigma_px: standard deviation; 0 derives it from the side as OpenCV does.
    """
    # Products with matrices: cuDNN would be tuned for each size of a face.
    rows, columns = (
        (_kept_blur_matrix if side <= MAX_KEPT_PX else _blur_matrix)(
            side, side_px, sigma_px, planes.device
        )
        for side in planes.shape[-2:]
    )
    return rows @ planes @ columns.T


def mirror(planes: Tensor, rows_px: tuple[int, int], columns_px: tuple[int, int]) -> Tensor:
    """Pad planes by reflection without repeating the outermost pixel, for any padding.

    Unlike `F.pad`, it also pads by more pixels than there are, as numpy and OpenCV do.

    Args:
        planes: ...xHxW.
        rows_px: rows to add at the top and at the bottom.
        columns_px: columns to add at the left and at the right.
    """
    for axis, padding in ((-2, rows_px), (-1, columns_px)):
        if any(padding):
            positions = np.pad(np.arange(planes.shape[axis]), padding, mode="reflect")
            planes = planes.index_select(axis, torch.from_numpy(positions).to(planes.device))
    return planes


def erode(planes: Tensor, side_px: int) -> Tensor:
    """Return the minimum over a square around each pixel, as `cv2.erode` does.

    Pixels outside do not count. A square with an even side reaches one pixel further to the left
    and to the top.

    Args:
        planes: Nx1xHxW float32.
        side_px: side of the square, at least 1.
    """
    return -dilate(-planes, side_px)


def dilate(planes: Tensor, side_px: int) -> Tensor:
    """Return the maximum over a square around each pixel; see `erode`."""
    before, after = side_px // 2, side_px - 1 - side_px // 2
    padded = F.pad(planes, (before, after, before, after), value=float("-inf"))
    return F.max_pool2d(F.max_pool2d(padded, (side_px, 1), 1), (1, side_px), 1)


def _blur_matrix(length: int, side_px: int, sigma_px: float, device: torch.device) -> Tensor:
    """Return length x length weights that blur one axis."""
    kernel = cv2.getGaussianKernel(side_px, sigma_px, cv2.CV_32F)[:, 0]
    padded = np.pad(np.arange(length), side_px // 2, mode="reflect")
    sources = np.lib.stride_tricks.sliding_window_view(padded, side_px)
    indices = torch.from_numpy(sources.copy()).to(device)
    weights = torch.from_numpy(kernel.copy()).to(device).expand(length, side_px)
    return torch.zeros(length, length, device=device).scatter_add_(1, indices, weights)


_kept_blur_matrix = functools.lru_cache(maxsize=16)(_blur_matrix)
