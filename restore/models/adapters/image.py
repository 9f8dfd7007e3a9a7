"""Networks from photo to photo: Real-ESRGAN (ESRGAN, Compact), NAFNet and DRUNet."""

from __future__ import annotations

import copy

import torch
from torch import nn

from restore.models.adapters.base import UpscaleAdapter
from restore.models.adapters.library import LibraryAdapter
from restore.nets.low_precision.esrgan import replace_dense_blocks
from restore.nets.low_precision.layers import Float32Boundary, convert_floats
from restore.nets.low_precision.nafnet import LowPrecisionNafnet


class LibraryUpscaleAdapter(LibraryAdapter, UpscaleAdapter):
    """Real-ESRGAN (Wang et al., ICCVW 2021)."""


class EsrganAdapter(LibraryUpscaleAdapter):
    """Real-ESRGAN with RRDB blocks."""

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        del encoder_dtype
        converted = convert_floats(replace_dense_blocks(copy.deepcopy(net)), dtype)
        return Float32Boundary(converted, dtype)


class NafnetAdapter(LibraryAdapter):
    """NAFNet (Chen et al., ECCV 2022)."""

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        del encoder_dtype
        return LowPrecisionNafnet(copy.deepcopy(net), dtype)


ESRGAN = EsrganAdapter(
    "spandrel.architectures.ESRGAN",
    {
        "realesrgan-x4plus": {"num_blocks": 23, "scale": 4},
        "realesrgan-x4anime": {"num_blocks": 6, "scale": 4},
        "realesrgan-x2plus": {"in_nc": 12, "num_blocks": 23, "scale": 4, "shuffle_factor": 2},
    },
)
COMPACT = LibraryUpscaleAdapter(
    "spandrel.architectures.Compact",
    {
        "realesr-general-x4v3": {"num_conv": 32},
        "realesr-general-wdn-x4v3": {"num_conv": 32},
        "realesr-animevideov3": {"num_conv": 16},
    },
)
NAFNET = NafnetAdapter(
    "spandrel.architectures.NAFNet",
    {
        "nafnet-sidd-width64": {
            "width": 64,
            "middle_blk_num": 12,
            "enc_blk_nums": [2, 2, 4, 8],
            "dec_blk_nums": [2, 2, 2, 2],
        },
        "nafnet-gopro-width64": {
            "width": 64,
            "middle_blk_num": 1,
            "enc_blk_nums": [1, 1, 1, 28],
            "dec_blk_nums": [1, 1, 1, 1],
        },
    },
)
DRUNET = LibraryAdapter("spandrel.architectures.DRUNet", {})
"""DRUNet (Zhang et al., TPAMI 2021)."""
