"""The networks that spandrel does not know, by the name that a catalog row gives: how each is built, and made ready once it is loaded.

Detectors and parser come from facexlib, which is imported when one of them is built and not before; the others from `nets`. A
checkpoint holds exactly a network's tensors, or it does not fit.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from restore.nets.lite.colorize import LiteColorize
from restore.nets.lite.deblur import LiteDeblur
from restore.nets.lite.face import LiteFace
from restore.nets.lite.inpaint import LiteInpaint
from restore.nets.lite.scratches import LiteScratches
from restore.nets.lite.upscale import LiteUpscale
from restore.nets.old_photo.faces import OldPhotoFaces, fold_spectral_norms
from restore.nets.old_photo.mapping import (
    OldPhotoMapping,
    OldPhotoPatchMapping,
    OldPhotoScratchMapping,
)
from restore.nets.old_photo.scratches import OldPhotoScratchDetector
from restore.nets.old_photo.vae import OldPhotoVae

LITE_FACE = "LiteFace"


def build(architecture: str, state: Mapping[str, Tensor]) -> nn.Module:
    """The network of that name with the tensors of `state` assigned to it, not copied; float tensors keep the file's dtype.

    Raises:
        KeyError: no such network here.
        RuntimeError: a tensor that is missing, is too many or has another shape.
    """
    net = BUILDERS[architecture]()
    net.load_state_dict(state, strict=True, assign=True)
    return FINISHERS.get(architecture, _as_it_is)(net)


def _parsenet() -> nn.Module:
    """facexlib's face parser, as facexlib itself builds it: 512 px, 19 classes."""
    from facexlib.parsing.parsenet import ParseNet  # noqa: PLC0415 - only for a row that needs it

    net: nn.Module = ParseNet(in_size=512, out_size=512, parsing_ch=19)
    return net


def _retinaface(network: str) -> nn.Module:
    """facexlib's face detector, on the CPU: `faces/detect.py` tells it where it has gone."""
    from facexlib.detection.retinaface import RetinaFace  # noqa: PLC0415 - only for a row that needs it

    with warnings.catch_warnings():
        # facexlib asks torchvision for a ResNet by the name that the argument had before torchvision 0.13.
        warnings.filterwarnings(
            "ignore", message="The parameter 'pretrained' is deprecated", category=UserWarning
        )
        warnings.filterwarnings(
            "ignore", message="Arguments other than a weight enum", category=UserWarning
        )
        net: nn.Module = RetinaFace(network_name=network, half=False, device=torch.device("cpu"))
    return net


def _as_it_is(net: nn.Module) -> nn.Module:
    return net


BUILDERS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        LITE_FACE: LiteFace,
        "LiteInpaint": LiteInpaint,
        "LiteColorize": LiteColorize,
        "LiteDeblur": LiteDeblur,
        "LiteScratches": LiteScratches,
        "LiteUpscale": LiteUpscale,
        "parsenet": _parsenet,
        "retinaface_resnet50": functools.partial(_retinaface, "resnet50"),
        "retinaface_mobile0.25": functools.partial(_retinaface, "mobile0.25"),
        "OldPhotoScratchDetector": OldPhotoScratchDetector,
        "OldPhotoVae": OldPhotoVae,
        "OldPhotoMapping": OldPhotoMapping,
        "OldPhotoScratchMapping": OldPhotoScratchMapping,
        "OldPhotoPatchMapping": OldPhotoPatchMapping,
        "OldPhotoFaces": OldPhotoFaces,
    }
)
"""A row's architecture -> its network, without weights yet."""

FINISHERS: Mapping[str, Callable[[nn.Module], nn.Module]] = MappingProxyType(
    {"OldPhotoFaces": fold_spectral_norms}
)
"""What is computed once from the loaded weights."""
