"""Copies of networks that run on Triton kernels."""

from __future__ import annotations

import copy

import torch
from torch import nn

from restore.optimize.triton_nafnet import PixelNafnet

TRITON_ARCHITECTURES = ("ESRGAN", "NAFNet")
"""Architectures that `triton_copy` supports."""
FASTER_THAN_COMPILER = ("ESRGAN",)
"""Architectures whose kernels are used although a compiler is available. NAFNet's are 1.1 times as
fast as the compiler's, which is not enough."""


def triton_copy(net: nn.Module, architecture: str, dtype: torch.dtype) -> nn.Module:
    """Return a copy of a network on Triton kernels, for CUDA; its inputs and outputs are float32.

    Args:
        net: the library's network, float32, with weights loaded.
        architecture: one of `TRITON_ARCHITECTURES`.
        dtype: precision of the features: float16 or bfloat16.

    Raises:
        ValueError: there are no kernels for this architecture.
        ImportError: Triton is not installed (ESRGAN only; NAFNet falls back to torch).
    """
    copied = copy.deepcopy(net).requires_grad_(requires_grad=False)
    converted: nn.Module
    if architecture == "ESRGAN":
        from restore.optimize.triton_esrgan import TritonEsrgan  # noqa: PLC0415 - Triton is optional

        converted = TritonEsrgan(copied, dtype)
    elif architecture == "NAFNet":
        converted = PixelNafnet(copied, dtype)
    else:
        known = ", ".join(TRITON_ARCHITECTURES)
        raise ValueError(f"no Triton kernels for '{architecture}'; they exist for {known}")
    return converted.eval().requires_grad_(requires_grad=False)
