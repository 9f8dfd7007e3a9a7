"""CodeFormer (Zhou et al., NeurIPS 2022)."""

from __future__ import annotations

import copy
from types import MappingProxyType

import torch
from torch import Tensor, nn

from restore.models.adapters.base import FaceAdapter
from restore.models.adapters.library import ExtraLibraryAdapter
from restore.models.catalog import Checkpoint
from restore.nets.folding import fuse_swish_blocks
from restore.nets.low_precision.codeformer import LowPrecisionCodeFormer


class CodeFormerAdapter(ExtraLibraryAdapter, FaceAdapter):
    """The network returns the faces and the logits of its codes."""

    uses_fidelity = True
    call_options = MappingProxyType({"weight": FaceAdapter.default_fidelity})

    def rewrite(self, net: nn.Module) -> nn.Module:
        return fuse_swish_blocks(super().rewrite(net))

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        return LowPrecisionCodeFormer(copy.deepcopy(net), encoder_dtype, dtype)

    def restore_faces(self, net: nn.Module, faces: Tensor, fidelity: float) -> Tensor:
        """Match the code's mean and spread to the input (adain), as the official code does."""
        if isinstance(net, LowPrecisionCodeFormer):
            # A tensor, so that one compiled or recorded program serves all values.
            weight = torch.full((), fidelity, dtype=faces.dtype, device=faces.device)
            lowered: Tensor = net(faces, weight)[0]
            return lowered
        image: Tensor = net(faces, weight=fidelity)[0]
        return image

    def fixed_inputs(self, row: Checkpoint) -> list[tuple[Tensor, ...]]:
        weight = torch.tensor(self.default_fidelity)
        return [(*inputs, weight) for inputs in super().fixed_inputs(row)]


CODEFORMER = CodeFormerAdapter("spandrel_extra_arches.architectures.CodeFormer", {"codeformer": {}})
