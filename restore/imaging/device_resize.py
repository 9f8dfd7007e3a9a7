"""Resizing and blending of photos on a device; see `restore.imaging.resize`."""

from __future__ import annotations

import cv2
from torch import Tensor

from restore.imaging.alpha import MIN_OPACITY, RELIABLE_OPACITY
from restore.imaging.device_photo import DevicePhoto
from restore.runtime.levels import largest_level, to_levels
from restore.runtime.resampling import resize_planes


def resize_levels(
    levels: Tensor, size: tuple[int, int], interpolation: int = cv2.INTER_LANCZOS4
) -> Tensor:
    """Resize 1xCxHxW integers to (width, height); return the input itself if it has this size."""
    if (levels.shape[3], levels.shape[2]) == size:
        return levels
    return to_levels(resize_planes(levels.float(), size, interpolation), levels)


def resize_photo(
    photo: DevicePhoto, size: tuple[int, int], interpolation: int = cv2.INTER_LANCZOS4
) -> DevicePhoto:
    """Resize a photo to (width, height), its colours weighted by alpha if it is transparent."""
    if (photo.width, photo.height) == size:
        return photo
    if photo.alpha is None:
        return photo.with_levels(resize_levels(photo.levels, size, interpolation), None)
    return photo.with_levels(*_resize_weighted(photo.levels, photo.alpha, size, interpolation))


def blend_levels(result: Tensor, original: Tensor, strength: float) -> Tensor:
    """Return strength * result + (1 - strength) * original.

    Args:
        result: 1xCxHxW integers.
        original: 1xC'xH'xW' integers of the same type; resized with Lanczos if the size differs.
        strength: from 0 (only the original) to 1 (only the result).
    """
    if strength == 1.0:
        return result
    resized = resize_levels(original, (result.shape[3], result.shape[2]))
    resized = resized.expand(-1, result.shape[1], -1, -1)
    if strength == 0.0:
        return resized.contiguous()
    return to_levels(result.float() * strength + resized.float() * (1.0 - strength), result)


def blend_photos(result: DevicePhoto, original: DevicePhoto, strength: float) -> DevicePhoto:
    """Blend a restored photo with its original, alpha included; see `blend_levels`."""
    if strength == 1.0:
        return result
    original = resize_photo(original, (result.width, result.height))
    alpha = result.alpha
    if alpha is not None and original.alpha is not None and alpha is not original.alpha:
        alpha = blend_levels(alpha, original.alpha, strength)
    return result.with_levels(blend_levels(result.levels, original.levels, strength), alpha)


def _resize_weighted(
    levels: Tensor, alpha: Tensor, size: tuple[int, int], interpolation: int
) -> tuple[Tensor, Tensor]:
    """Resize so that each colour counts as much as it is visible; see `alpha.resize_weighted`."""
    full = largest_level(levels)
    plain = resize_levels(levels, size, interpolation)
    opacities = alpha.float() / full
    opacity = resize_planes(opacities, size, interpolation)
    weighted = resize_planes(levels.float() * opacities, size, interpolation)
    colours = (weighted / opacity.clamp_min(MIN_OPACITY)).clamp_(0.0, full)
    trust = (opacity / RELIABLE_OPACITY).clamp_(0.0, 1.0)
    mixed = plain.float() + trust * (colours - plain.float())
    return to_levels(mixed, levels), to_levels(opacity * full, levels)
