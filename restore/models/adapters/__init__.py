"""The adapter of every architecture that a manifest row may name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from restore.models.adapters import (
    centerface,
    codeformer,
    ddcolor,
    gfpgan,
    image,
    lama,
    library,
    lite_colorize,
    lite_colors,
    lite_deblur,
    lite_face,
    lite_inpaint,
    lite_scratches,
    lite_upscale,
    old_photo,
    parsenet,
    restoreformer,
    retinaface,
)
from restore.models.adapters.base import Adapter
from restore.models.checkpoint_file import StateDict
from restore.nets.lite.face import is_lite_face

AdapterT = TypeVar("AdapterT", bound=Adapter)

ADAPTERS: Mapping[str, Adapter] = MappingProxyType(
    {
        "ESRGAN": image.ESRGAN,
        "Compact": image.COMPACT,
        "NAFNet": image.NAFNET,
        "DRUNet": image.DRUNET,
        "CenterFace": centerface.CENTERFACE,
        "CodeFormer": codeformer.CODEFORMER,
        "GFPGAN": gfpgan.GFPGAN,
        "RestoreFormer": restoreformer.RESTOREFORMER,
        "DDColor": ddcolor.DDCOLOR,
        "LaMa": lama.LAMA,
        "LiteColorize": lite_colorize.LITE_COLORIZE,
        "LiteColors": lite_colors.LITE_COLORS,
        "LiteDeblur": lite_deblur.LITE_DEBLUR,
        "LiteFace": lite_face.LITE_FACE,
        "LiteInpaint": lite_inpaint.LITE_INPAINT,
        "LiteScratches": lite_scratches.LITE_SCRATCHES,
        "LiteUpscale": lite_upscale.LITE_UPSCALE,
        "OldPhotoFaces": old_photo.FACES,
        "OldPhotoMapping": old_photo.MAPPING,
        "OldPhotoPatchMapping": old_photo.PATCH_MAPPING,
        "OldPhotoScratchDetector": old_photo.SCRATCH_DETECTOR,
        "OldPhotoScratchMapping": old_photo.SCRATCH_MAPPING,
        "OldPhotoVae": old_photo.VAE,
        "parsenet": parsenet.PARSENET,
        "retinaface_mobile0.25": retinaface.RETINAFACE_MOBILE,
        "retinaface_resnet50": retinaface.RETINAFACE_RESNET50,
    }
)
"""Adapters by the `architecture` of a manifest row."""


def adapter_for(architecture: str) -> Adapter:
    """Return the adapter of an architecture.

    Raises:
        ValueError: no adapter has this name.
    """
    if architecture not in ADAPTERS:
        known = ", ".join(sorted(ADAPTERS))
        raise ValueError(f"no adapter for the architecture '{architecture}'; known are {known}")
    return ADAPTERS[architecture]


def adapter_of_kind(architecture: str, kind: type[AdapterT]) -> AdapterT:
    """Return the adapter of an architecture that must be of one kind, such as FaceAdapter.

    Raises:
        ValueError: the architecture has no adapter of this kind.
    """
    adapter = adapter_for(architecture)
    if not isinstance(adapter, kind):
        raise ValueError(  # noqa: TRY004 - the manifest row is wrong, not a type
            f"'{architecture}' is not a network for {kind.purpose}"
        )
    return adapter


def detect_adapter(state: StateDict) -> Adapter:
    """Choose an adapter by the keys of a checkpoint without a manifest row."""
    return lite_face.LITE_FACE if is_lite_face(state) else library.SPANDREL
