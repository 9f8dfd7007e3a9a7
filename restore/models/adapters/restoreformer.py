"""RestoreFormer (Wang et al., CVPR 2022)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from restore.models.adapters.base import FaceAdapter
from restore.models.adapters.library import LibraryAdapter
from restore.nets.folding import fuse_swish_blocks
from restore.nets.low_precision.restoreformer import LowPrecisionRestoreFormer


class RestoreFormerAdapter(LibraryAdapter, FaceAdapter):
    """The network returns the faces first."""

    def rewrite(self, net: nn.Module) -> nn.Module:
        return fuse_swish_blocks(super().rewrite(net))

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        return LowPrecisionRestoreFormer(copy.deepcopy(net), encoder_dtype, dtype)

    def restore_faces(self, net: nn.Module, faces: Tensor, fidelity: float) -> Tensor:
        del fidelity
        image: Tensor = net(faces)[0]
        return image


RESTOREFORMER = RestoreFormerAdapter("spandrel.architectures.RestoreFormer", {"restoreformer": {}})
