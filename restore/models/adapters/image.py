"""Networks from photo to photo: Real-ESRGAN (ESRGAN, Compact), NAFNet and DRUNet."""

from __future__ import annotations

from restore.models.adapters.base import UpscaleAdapter
from restore.models.adapters.library import LibraryAdapter


class LibraryUpscaleAdapter(LibraryAdapter, UpscaleAdapter):
    """Real-ESRGAN (Wang et al., ICCVW 2021)."""


ESRGAN = LibraryUpscaleAdapter(
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
NAFNET = LibraryAdapter(
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
"""NAFNet (Chen et al., ECCV 2022)."""
DRUNET = LibraryAdapter("spandrel.architectures.DRUNet", {})
"""DRUNet (Zhang et al., TPAMI 2021)."""
