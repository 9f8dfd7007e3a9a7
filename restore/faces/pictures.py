"""What a face detector searches: a picture on the host, or on a device.

The search for faces turns, reduces and crops pictures. These functions do so where the picture is.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.faces.align import smooth_crop
from restore.faces.detect import Detector, DeviceDetector
from restore.faces.device_crops import smooth_crop_on_device
from restore.faces.face import Face
from restore.faces.rotation import turn
from restore.runtime.levels import to_levels
from restore.runtime.resampling import resize_planes
from restore.runtime.transfers import upload

Picture = np.ndarray | Tensor
"""HxWx3 uint8 RGB on the host, or 1x3xHxW uint8 on a device."""


def size_of(picture: Picture) -> tuple[int, int]:
    """Return the (width, height) of a picture."""
    if isinstance(picture, Tensor):
        return int(picture.shape[3]), int(picture.shape[2])
    return int(picture.shape[1]), int(picture.shape[0])


def find_in(
    detector: Detector, picture: Picture, *, short_side_px: int | None, threshold: float
) -> list[Face]:
    """Find the faces of a picture as described in `Detector.find`.

    Raises:
        TypeError: the picture is on a device, but the detector is not.
    """
    if not isinstance(picture, Tensor):
        return detector.find(picture, short_side_px=short_side_px, threshold=threshold)
    if not isinstance(detector, DeviceDetector):
        raise TypeError(f"{detector.name} needs pictures of the host")
    return detector.find_on_device(picture, short_side_px=short_side_px, threshold=threshold)


def resize_picture(picture: Picture, size: tuple[int, int]) -> Picture:
    """Resize a picture to (width, height): reduce it by averaging, or enlarge it bilinearly."""
    width, height = size_of(picture)
    is_reduced = size[0] <= width and size[1] <= height
    interpolation = cv2.INTER_AREA if is_reduced else cv2.INTER_LINEAR
    if isinstance(picture, Tensor):
        return to_levels(resize_planes(picture.float(), size, interpolation), picture)
    return cv2.resize(picture, size, interpolation=interpolation)


def to_batch(pictures: Sequence[Picture], device: torch.device) -> Tensor:
    """Return pictures of one size as an Nx3xHxW uint8 batch on a device."""
    planes = [
        picture if isinstance(picture, Tensor) else upload(picture, device).permute(2, 0, 1)[None]
        for picture in pictures
    ]
    return torch.cat(planes)


def turn_picture(picture: Picture, quarters: int) -> Picture:
    """Turn a picture clockwise by quarter turns."""
    if isinstance(picture, Tensor):
        return torch.rot90(picture, -quarters, (2, 3)).contiguous()
    return turn(picture, quarters)


def crop_picture(picture: Picture, matrix: np.ndarray) -> Picture:
    """Return the aligned crop of a face, given its 2x3 transform; see `smooth_crop`."""
    if isinstance(picture, Tensor):
        return smooth_crop_on_device(picture, matrix)
    return smooth_crop(picture, matrix)
