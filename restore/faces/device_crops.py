"""Crops of faces from photos on a device; see `restore.faces.align`."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.faces.align import BORDER_RGB, CROP_PX, visible_box
from restore.runtime.levels import largest_level, to_levels
from restore.runtime.resampling import resize_planes
from restore.runtime.warping import warp_planes


def crop_on_device(levels: Tensor, matrix: np.ndarray) -> Tensor:
    """Crop an upright face of 512x512 by bilinear interpolation.

    Args:
        levels: 1xCxHxW integers, uint8 or int32; C is 1 or 3.
        matrix: 2x3, photo to crop.

    Returns:
        1x3x512x512 levels from 0 to 255: uint8 for photos of 8 bits, else float32, as on the host.
    """
    x0, y0, x1, y1 = visible_box(matrix, levels.shape[3], levels.shape[2])
    is_deep = levels.dtype != torch.uint8
    if x0 >= x1 or y0 >= y1:
        kind = torch.float32 if is_deep else torch.uint8
        border = torch.tensor(BORDER_RGB, device=levels.device, dtype=kind)
        return border[None, :, None, None].expand(1, 3, CROP_PX, CROP_PX).contiguous()
    part = levels[:, :, y0:y1, x0:x1].float() * (255 / largest_level(levels))
    to_photo = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    to_photo[:, 2] -= (x0, y0)
    warped = warp_planes(
        part.expand(-1, 3, -1, -1), to_photo, (CROP_PX, CROP_PX), border=BORDER_RGB
    )
    return warped if is_deep else to_levels(warped, levels)


def smooth_crop_on_device(levels: Tensor, matrix: np.ndarray) -> Tensor:
    """Crop a face like `crop_on_device`, but reduce a face larger than the crop by averaging.

    See `smooth_crop`.
    """
    factor = int(1.0 / max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-6))
    x0, y0, x1, y1 = visible_box(matrix, levels.shape[3], levels.shape[2])
    if factor < 2 or x1 - x0 < factor or y1 - y0 < factor:
        return crop_on_device(levels, matrix)
    columns, rows = (x1 - x0) // factor, (y1 - y0) // factor
    part = levels[:, :, y0 : y0 + rows * factor, x0 : x0 + columns * factor]
    reduced = to_levels(resize_planes(part.float(), (columns, rows), cv2.INTER_AREA), levels)
    to_crop = np.array(matrix, np.float64)
    to_crop[:, 2] += to_crop[:, :2] @ (x0 + (factor - 1) / 2, y0 + (factor - 1) / 2)
    to_crop[:, :2] *= factor
    return crop_on_device(reduced, to_crop)
