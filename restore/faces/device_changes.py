"""Colour and plausibility of restored faces on a device; see `colour` and `plausibility`."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.faces.colour import (
    MAX_GREY_VARIANCE,
    MAX_TONED_RESIDUAL,
    OFFICIAL_LUMINANCE,
    RGB_TO_YCBCR,
    VARIANCE_FLOOR,
    YCBCR_TO_RGB,
    Tone,
    tone_size,
    toning_residual,
)
from restore.faces.plausibility import FaceChange, block_count, change_of, inside_face
from restore.imaging.device_photo import DevicePhoto
from restore.runtime.levels import luminance, to_levels
from restore.runtime.resampling import resize_planes
from restore.runtime.transfers import download, upload


def classify_tone_on_device(photo: DevicePhoto) -> Tone:
    """Classify a photo as grey, toned or colour, as `classify_tone` does.

    Sums and a reduced photo are downloaded.
    """
    if photo.is_grey:
        return "grey"
    levels = (photo.unit() * 255).round()
    differences = levels - levels.roll(1, dims=1)
    variance = float(differences.var(dim=(0, 2, 3), correction=0).mean())
    if variance <= MAX_GREY_VARIANCE:
        return "grey"
    size = tone_size(photo.width, photo.height)
    small = to_levels(resize_planes(photo.levels.float(), size, cv2.INTER_AREA), photo.levels)
    residual = toning_residual(download(small[0].permute(1, 2, 0)))
    return "toned" if residual <= MAX_TONED_RESIDUAL else "colour"


def match_grey_on_device(restored: Tensor, crop: Tensor) -> Tensor:
    """Make a 1x3x512x512 face grey, with mean and standard deviation of its crop per channel."""
    grey = _transform(restored.double(), OFFICIAL_LUMINANCE[None]).expand(-1, 3, -1, -1)
    mean, deviation = _moments(grey)
    crop_mean, crop_deviation = _moments(crop.double())
    matched = (grey - mean) / deviation * crop_deviation + crop_mean
    return matched.clamp(0.0, 255.0).float()


def keep_colour_on_device(restored: Tensor, crop: Tensor) -> Tensor:
    """Combine the luminance of a 1x3x512x512 face with the chrominance of its crop (BT.601)."""
    luma = _transform(restored.float(), RGB_TO_YCBCR[:1])
    chroma = _transform(crop.float(), RGB_TO_YCBCR[1:])
    return _transform(torch.cat([luma, chroma], dim=1), YCBCR_TO_RGB).clamp(0.0, 255.0)


def measure_change_on_device(restored: Tensor, crop: Tensor) -> FaceChange:
    """Compare a restored 1x3xSxS face with its crop; only means of blocks are downloaded."""
    after, before = luminance(restored.float()), luminance(crop.float())
    side_px = after.shape[3]
    count = block_count(side_px)
    blocks = resize_planes(torch.cat([after, before]), (count, count), cv2.INTER_AREA)
    inside = _inside_on_device(side_px, after.device)
    grain = (after.diff(dim=3).square() * inside).sum() / inside.sum()
    values = download(torch.cat([blocks.flatten(), grain.sqrt()[None]]))
    first, second = values[:-1].reshape(2, count, count)
    return change_of(first, second, float(values[-1]))


@functools.lru_cache(maxsize=4)
def _inside_on_device(side_px: int, device: torch.device) -> Tensor:
    """Return 1 for pairs of neighbouring pixels within the face: S x S-1 float32."""
    return upload(inside_face(side_px)[:, 1:].astype(np.float32), device)


def _transform(planes: Tensor, matrix: np.ndarray) -> Tensor:
    """Multiply the channels of 1xCxHxW planes by a matrix."""
    weights = torch.from_numpy(np.ascontiguousarray(matrix)).to(planes)
    return torch.einsum("oc,nchw->nohw", weights, planes)


def _moments(planes: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each channel, 1xCx1x1."""
    variance, mean = torch.var_mean(planes, dim=(2, 3), correction=0, keepdim=True)
    return mean, (variance + VARIANCE_FLOOR).sqrt()
