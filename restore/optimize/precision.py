"""Which network becomes what in a lower precision: `lowered`."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from restore.compilation import lama_of, rearranged
from restore.nets.folding import fold
from restore.nets.old_photo_faces import fold_spectral_norms
from restore.optimize.colour import DDColorNet
from restore.optimize.faces import CodeFormerNet, GfpganNet, RestoreFormerNet
from restore.optimize.kernel_nets import PixelNafNet, PixelRrdbNet
from restore.optimize.parts import Lowered, converted
from restore.optimize.photos import LamaNet, NafNet, spread_dense_blocks

WITH_KERNELS = ("ESRGAN", "NAFNet")
"""Architectures that `with_kernels` takes."""


def with_kernels(net: nn.Module, architecture: str, dtype: torch.dtype) -> nn.Module:
    """A copy of a network on this package's Triton kernels, for CUDA: float32 inputs and answers, features in float16 or bfloat16."""
    copied: Any = copy.deepcopy(net).requires_grad_(requires_grad=False)
    made: nn.Module = {"ESRGAN": PixelRrdbNet, "NAFNet": PixelNafNet}[architecture](copied, dtype)
    return made.eval().requires_grad_(requires_grad=False)


def lowered(net: nn.Module, architecture: str, dtype: torch.dtype, encoder_dtype: torch.dtype | None = None) -> nn.Module:
    """A copy of a network that computes in `dtype` where it may: float32 inputs, float32 answers.

    The copy is called with the network's own inputs alone (CodeFormer also takes a fidelity), and gives: CodeFormer faces and logits,
    RestoreFormer faces and numbers of codes, all others what the network itself gives. With torch.float32 as `dtype` it is the same
    arithmetic in the copy's order, for which TF32 may be allowed.

    Args:
        net: float32, in eval mode, with weights loaded.
        architecture: as the catalog's row names it.
        dtype: bfloat16, float16 or float32.
        encoder_dtype: of CodeFormer's and RestoreFormer's encoders, which decide the codes; `dtype` unless told otherwise.
    """
    if architecture == "LaMa":
        return LamaNet(lama_of(net) if isinstance(net, torch.jit.ScriptModule) else copy.deepcopy(net), dtype).eval()
    if architecture == "GFPGAN":
        return GfpganNet(rearranged(net, next(net.parameters()).device), dtype).eval()
    copied: Any = copy.deepcopy(net).requires_grad_(requires_grad=False)
    made: nn.Module
    match architecture:
        case "CodeFormer":
            made = CodeFormerNet(copied, encoder_dtype or dtype, dtype)
        case "RestoreFormer":
            made = RestoreFormerNet(copied, encoder_dtype or dtype, dtype)
        case "DDColor":
            made = DDColorNet(copied, dtype)
        case "NAFNet":
            made = NafNet(copied, dtype)
        case "ESRGAN":
            made = Lowered(converted(spread_dense_blocks(copied), dtype), dtype)
        case _:
            made = Lowered(converted(fold(fold_spectral_norms(copied)), dtype), dtype)
    return made.eval().requires_grad_(requires_grad=False)
