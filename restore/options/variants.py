"""Which option selects the network of a model task, and what its value `auto` means."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class VariantChoice:
    """An option that selects a variant of a catalog task.

    Attributes:
        field: name of the option.
        task: catalog task that the variants belong to.
        environment: environment variable that says what `auto` means.
        default: meaning of `auto` if the environment variable is not set.
        older_names: variants by their names in services that this project replaces; only the
            environment variable may use them.
    """

    field: str
    task: str
    environment: str
    default: str
    older_names: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)


UPSCALER = VariantChoice("upscale_variant", "upscale", "MODEL_UPSCALE", "x4plus")
# CodeFormer and GFPGAN use the x2 network behind faces too.
BACKGROUND = VariantChoice("upscale_variant", "upscale", "MODEL_UPSCALE", "x2plus")
NAFNET = VariantChoice("restore_variant", "restore", "MODEL_RESTORE", "denoise")
FACE = VariantChoice(
    "face_model",
    "face_restore",
    "MODEL_FACE",
    "codeformer",
    MappingProxyType({"v0.1": "codeformer"}),
)
DDCOLOR = VariantChoice("colorize_variant", "colorize", "MODEL_COLORIZE", "modelscope")
OLD_PHOTO = VariantChoice("old_photo_variant", "old_photo_restore", "MODEL_OLD_PHOTO", "v1")
LAMA = VariantChoice("inpaint_variant", "inpaint", "MODEL_INPAINT", "big")
COLORS = VariantChoice("colors_variant", "colors", "MODEL_COLORS", "lite")
