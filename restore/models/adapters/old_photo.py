"""The networks of Bringing Old Photos Back to Life (Wan et al., CVPR 2020).

All of them take and return photos in [-1, 1].
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from restore.models.adapters.base import ModuleAdapter, example_hole, random_input
from restore.models.catalog import Checkpoint
from restore.nets.folding import fold_spectral_norms
from restore.nets.low_precision.layers import Float32Boundary, convert_floats
from restore.nets.old_photo.faces import OldPhotoFaces
from restore.nets.old_photo.mapping import (
    OldPhotoMapping,
    OldPhotoPatchMapping,
    OldPhotoScratchMapping,
)
from restore.nets.old_photo.scratches import OldPhotoScratchDetector
from restore.nets.old_photo.vae import FEATURE_STRIDE, OldPhotoVae

_MIN_LEVEL_RANGE = 1e-5


class OldPhotoVaeAdapter(ModuleAdapter):
    """Encodes photos to features, and features to photos."""

    def encode(self, net: nn.Module, photos: Tensor) -> Tensor:
        """Return the features of Nx3xHxW photos in [-1, 1]."""
        return cast(OldPhotoVae, net).encode(photos)

    def decode(self, net: nn.Module, features: Tensor) -> Tensor:
        """Return the Nx3xHxW photos, in [-1, 1], of features."""
        return cast(OldPhotoVae, net).decode(features)

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        """Cast at both halves, because each is called alone."""
        del encoder_dtype
        copied = cast(OldPhotoVae, self.rewrite(net))
        for name in ("encoder", "decoder"):
            half = convert_floats(getattr(copied, name), dtype)
            setattr(copied, name, Float32Boundary(half, dtype))
        return copied


class OldPhotoMappingAdapter(ModuleAdapter):
    """Maps the features of a damaged photo to those of a clean one."""

    def example_inputs(
        self, row: Checkpoint, side_px: int, batch: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Return features of a photo of `side_px`, and its holes."""
        features = random_input(
            row, row.channels_in or 1, side_px // FEATURE_STRIDE, batch, generator
        )
        return features, example_hole(side_px, batch)


class OldPhotoFacesAdapter(ModuleAdapter):
    """The checkpoint contains spectral norms; they are divided out once."""

    def finish(self, net: nn.Module) -> nn.Module:
        return fold_spectral_norms(net)


VAE = OldPhotoVaeAdapter(OldPhotoVae)
SCRATCH_DETECTOR = ModuleAdapter(OldPhotoScratchDetector)
FACES = OldPhotoFacesAdapter(OldPhotoFaces)
MAPPING = OldPhotoMappingAdapter(OldPhotoMapping)
SCRATCH_MAPPING = OldPhotoMappingAdapter(OldPhotoScratchMapping)
PATCH_MAPPING = OldPhotoMappingAdapter(OldPhotoPatchMapping)


def to_input(pixels: np.ndarray, net: nn.Module) -> Tensor:
    """Convert HxWxC uint8 to 1xCxHxW in [-1, 1] on the device of a network."""
    device = next(net.parameters()).device
    levels = torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32)).to(device)
    return levels / 255.0 * 2.0 - 1.0


def to_pixels(output: Tensor, *, stretched: bool = False) -> np.ndarray:
    """Convert the 3xHxW output of a network, in [-1, 1], to HxWx3 uint8.

    Args:
        output: the output for one photo.
        stretched: scale the levels so that the lowest becomes 0 and the highest 255, as the
            official code does when it saves its first result.
    """
    levels = (output.float() + 1.0) / 2.0
    if stretched:
        low, high = levels.min(), levels.max()
        levels = (levels.clamp(low, high) - low) / torch.clamp(high - low, min=_MIN_LEVEL_RANGE)
    rounded = (levels * 255.0 + 0.5).clamp(0, 255).to(torch.uint8)
    return rounded.permute(1, 2, 0).contiguous().cpu().numpy()
