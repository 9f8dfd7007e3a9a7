"""The mapping networks of Bringing Old Photos Back to Life: old features to clean features.

Three networks of similar structure (Wan et al., CVPR 2020): without scratches; with a partial
non-local block, which fills holes from all visible positions; and with patch attention, the
variant for large photos. All are called as `net(features, mask)`. The names of the modules are
those of the published checkpoints, which load strictly.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from restore.nets.old_photo.attention import (
    MAX_CHUNK_BYTES,
    MaskedNonLocal,
    PatchAttention,
    residual_blocks,
)
from restore.nets.old_photo.vae import conv_norm_relu

CHANNELS = (64, 128, 256, 512)
INNER_CHANNELS = CHANNELS[-1]


class OldPhotoMapping(nn.Module):
    """Map Nx64xhxw features of photos without scratches."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(
            *_expanding_layers(), *residual_blocks(6, INNER_CHANNELS), *_reducing_layers()
        )

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map features. The mask is ignored, as in the official network."""
        mapped: Tensor = self.model(features)
        return mapped


class OldPhotoScratchMapping(nn.Module):
    """Map Nx64xhxw features of photos with scratches.

    Args:
        max_chunk_bytes: memory for one chunk of attention scores.
    """

    def __init__(self, max_chunk_bytes: int = MAX_CHUNK_BYTES) -> None:
        super().__init__()
        self.before_NL = nn.Sequential(*_expanding_layers())
        self.NL = MaskedNonLocal(INNER_CHANNELS, max_chunk_bytes)
        self.after_NL = nn.Sequential(*residual_blocks(6, INNER_CHANNELS), *_reducing_layers())

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Map features.

        Args:
            features: Nx64xhxw.
            mask: Nx1xHxW at the size of the photo, 1 in scratches and 0 elsewhere.

        Raises:
            ValueError: the mask has another shape.
        """
        mapped: Tensor = self.after_NL(self.NL(self.before_NL(features), mask))
        return mapped


class OldPhotoPatchMapping(nn.Module):
    """Map Nx64xhxw features of large photos with scratches, with three patch sizes in turn.

    Args:
        max_chunk_bytes: memory for one chunk of patch similarities.
    """

    def __init__(self, max_chunk_bytes: int = MAX_CHUNK_BYTES) -> None:
        super().__init__()
        self.before_NL = nn.Sequential(*_expanding_layers(), *residual_blocks(2, INNER_CHANNELS))
        self.NL_scale_1 = PatchAttention(INNER_CHANNELS, 8, max_chunk_bytes)
        self.res_block_1 = nn.Sequential(*residual_blocks(2, INNER_CHANNELS))
        self.NL_scale_2 = PatchAttention(INNER_CHANNELS, 4, max_chunk_bytes)
        self.res_block_2 = nn.Sequential(*residual_blocks(2, INNER_CHANNELS))
        self.NL_scale_3 = PatchAttention(INNER_CHANNELS, 2, max_chunk_bytes)
        self.after_NL = nn.Sequential(*residual_blocks(2, INNER_CHANNELS), *_reducing_layers())

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Map features.

        Args:
            features: Nx64xhxw.
            mask: Nx1xHxW at the size of the photo, 1 in scratches and 0 elsewhere.

        Raises:
            ValueError: the mask has another shape, or no patch of some size is visible.
        """
        x = self.res_block_1(self.NL_scale_1(self.before_NL(features), mask))
        x = self.res_block_2(self.NL_scale_2(x, mask))
        mapped: Tensor = self.after_NL(self.NL_scale_3(x, mask))
        return mapped


def _expanding_layers() -> list[nn.Module]:
    """Return layers from 64 to 512 channels: 64, 128, 256, 512, 512."""
    return _conv_layers([*pairwise(CHANNELS), (INNER_CHANNELS, INNER_CHANNELS)])


def _reducing_layers() -> list[nn.Module]:
    """Return layers from 512 to 64 channels, the last one without norm: 512, 256, 128, 64."""
    layers = _conv_layers([(INNER_CHANNELS, INNER_CHANNELS), *pairwise(CHANNELS[:0:-1])])
    return [*layers, nn.Conv2d(CHANNELS[1], CHANNELS[0], 3, padding=1)]


def _conv_layers(pairs: list[tuple[int, int]]) -> list[nn.Module]:
    """Return a 3x3 convolution with norm and ReLU for each (input channels, output channels)."""
    return [
        layer
        for in_channels, out_channels in pairs
        for layer in conv_norm_relu(
            nn.Conv2d(in_channels, out_channels, 3, padding=1), out_channels
        )
    ]
