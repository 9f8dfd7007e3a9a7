"""Pasting restored faces into a photo on a device; see `restore.faces.paste`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.faces.align import CROP_PX
from restore.faces.paste import EMPTY_REGION, Region, crop_to_frame_transform, region_of_crop
from restore.runtime.filters import erode, gaussian_blur
from restore.runtime.levels import largest_level, luminance, to_levels
from restore.runtime.transfers import download
from restore.runtime.warping import warp_planes


@dataclass(frozen=True)
class DevicePaste:
    """A restored face and where it belongs.

    Attributes:
        face: 1x3x512x512 levels from 0 to 255, uint8 or float32.
        matrix: 2x3, photo to crop.
        mask: 1x1x512x512 float32, the weight of the face from 0 to 1.
        crop: the face before restoration, like `face`. If given, the difference between both is
            added.
    """

    face: Tensor
    matrix: np.ndarray
    mask: Tensor
    crop: Tensor | None = None


def paste_on_device(
    levels: Tensor, faces: Sequence[DevicePaste], scale: float, *, square: bool
) -> Tensor:
    """Paste faces into a photo, one over the other; levels are rounded once.

    Args:
        levels: 1xCxHxW integers, the photo at the result's size.
        faces: the faces.
        scale: size of the result over the size of the photo.
        square: limit each mask by the square of its crop, eroded and blurred (CodeFormer).

    Returns:
        1xCxHxW integers of the same type; grey stays grey, with the luminance of the faces.
    """
    frame = levels.float().expand(-1, 3, -1, -1).clone()
    for paste in faces:
        _paste(frame, paste, scale, largest_level(levels) / 255, square=square)
    if levels.shape[1] == 1:
        frame = luminance(frame.round().clamp_(0.0, largest_level(levels)))
    return to_levels(frame, levels)


def _paste(frame: Tensor, paste: DevicePaste, scale: float, unit: float, *, square: bool) -> None:
    """Blend one face into float levels, in place; `unit` is the number of levels per level."""
    to_frame = crop_to_frame_transform(paste.matrix, scale, exact=paste.crop is not None)
    region = region_of_crop(to_frame, frame.shape[3], frame.shape[2])
    if region == EMPTY_REGION:
        return
    x0, y0, x1, y1 = region
    from_frame: np.ndarray = cv2.invertAffineTransform(to_frame)
    from_frame[:, 2] += from_frame[:, :2] @ (x0, y0)
    layer = paste.face.float()
    layer = layer if paste.crop is None else layer - paste.crop.float()
    planes = torch.cat([layer, paste.mask], dim=1)
    warped = warp_planes(planes, from_frame, (x1 - x0, y1 - y0))
    layer, weight = warped[:, :3], warped[:, 3:]
    if paste.crop is None and paste.face.dtype == torch.uint8:
        layer = layer.round()  # as OpenCV does on the host
    if square:
        eroded, soft = _warp_square(from_frame, region, scale, frame.device)
        layer = layer * eroded
        weight = torch.minimum(weight, soft)
    target = frame[:, :, y0:y1, x0:x1]
    if paste.crop is None:
        target *= 1 - weight
    target += weight * layer * unit


def _warp_square(
    from_frame: np.ndarray, region: Region, scale: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the warped square of a crop, eroded once, and eroded further and blurred."""
    x0, y0, x1, y1 = region
    ones = torch.ones((1, 1, CROP_PX, CROP_PX), device=device)
    warped = warp_planes(ones, from_frame, (x1 - x0, y1 - y0))
    eroded = _erode(warped, int(2 * scale))
    [area] = download(eroded.sum(dtype=torch.float64).reshape(1))
    edge_px = int(float(area) ** 0.5) // 20
    return eroded, gaussian_blur(_erode(eroded, 2 * edge_px), 2 * edge_px + 1)


def _erode(planes: Tensor, side_px: int) -> Tensor:
    """Erode by a square; not at all for size 0 (tiny faces)."""
    return erode(planes, side_px) if side_px >= 1 else planes
