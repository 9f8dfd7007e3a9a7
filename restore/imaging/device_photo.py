"""DevicePhoto: a photo whose samples are on a device, from the first step to the last."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from restore.imaging.photo import Photo
from restore.runtime.levels import largest_level, to_unit
from restore.runtime.transfers import download, upload


@dataclass(frozen=True, eq=False)
class DevicePhoto:
    """A photo on a device. Tensors are never changed in place, because photos share them.

    Attributes:
        source: the photo that was uploaded, with name and metadata.
        levels: 1xCxHxW integers from 0 to `largest`, uint8 or (for 16 bits) int32; C is 1 for grey
            photos, else 3.
        alpha: 1x1xHxW likewise; None without transparency.
        uploaded: the samples of `source` on the device, pixels and alpha.
    """

    source: Photo
    levels: Tensor
    alpha: Tensor | None
    uploaded: tuple[Tensor, Tensor | None]

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def icc(self) -> bytes | None:
        return self.source.icc

    @property
    def width(self) -> int:
        return int(self.levels.shape[3])

    @property
    def height(self) -> int:
        return int(self.levels.shape[2])

    @property
    def is_grey(self) -> bool:
        return self.levels.shape[1] == 1

    @property
    def largest(self) -> float:
        """The largest level, 255 or 65535."""
        return largest_level(self.levels)

    @property
    def host_pixels(self) -> np.ndarray | None:
        """The same pixels on the host, if no step has changed them since the upload."""
        return self.source.pixels if self.levels is self.uploaded[0] else None

    def with_levels(self, levels: Tensor, alpha: Tensor | None) -> DevicePhoto:
        """Return a photo with other samples, and the same depth and metadata."""
        return replace(self, levels=levels, alpha=alpha)

    def unit(self) -> Tensor:
        """Return the pixels as 1xCxHxW float32 in [0, 1]."""
        return to_unit(self.levels)

    def rgb_unit(self) -> Tensor:
        """Return the pixels as 1x3xHxW float32 in [0, 1]; grey as three equal channels."""
        return self.unit().expand(-1, 3, -1, -1)


def upload_photo(photo: Photo, device: torch.device) -> DevicePhoto:
    """Copy the integers of a photo to a device, as one copy."""
    arrays = [photo.pixels] if photo.alpha is None else [photo.pixels, photo.alpha]
    flat = arrays[0].ravel() if len(arrays) == 1 else np.concatenate([a.ravel() for a in arrays])
    samples = torch.split(upload(flat, device), [array.size for array in arrays])
    pixels = samples[0].reshape(photo.height, photo.width, -1).permute(2, 0, 1)
    levels = pixels[None].contiguous()
    alpha = samples[1].reshape(1, 1, photo.height, photo.width) if len(arrays) == 2 else None
    return DevicePhoto(photo, levels, alpha, (levels, alpha))


def download_photo(photo: DevicePhoto) -> Photo:
    """Return a photo of the host; only samples that have changed since the upload are copied."""
    alpha, source = photo.alpha, photo.source
    host_alpha = source.alpha if alpha is photo.uploaded[1] else None
    changed = [] if photo.host_pixels is not None else [photo.levels[0].permute(1, 2, 0)]
    if alpha is not None and host_alpha is None:
        changed.append(alpha[0].permute(1, 2, 0))
    if not changed:
        return source if alpha is photo.uploaded[1] else source.with_pixels(source.pixels)
    # As one copy.
    samples = download(torch.cat([each.flatten() for each in changed]))
    parts = np.split(samples, np.cumsum([each.numel() for each in changed])[:-1])
    arrays = [part.reshape(each.shape) for part, each in zip(parts, changed, strict=True)]
    pixels = arrays.pop(0) if photo.host_pixels is None else source.pixels
    if photo.host_pixels is None and photo.is_grey:
        pixels = pixels[..., 0]
    return source.with_pixels(pixels, arrays[0][..., 0] if arrays else host_alpha)
