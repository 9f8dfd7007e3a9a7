"""RetinaFace (Deng et al., CVPR 2020), the face detector of facexlib."""

from __future__ import annotations

import functools
import warnings

import torch
from torch import nn

from restore.models.adapters.base import ModuleAdapter


def new_retinaface(backbone: str) -> nn.Module:
    """Build facexlib's face detector on the CPU.

    Args:
        backbone: `resnet50` or `mobile0.25`.
    """
    from facexlib.detection.retinaface import RetinaFace  # noqa: PLC0415 - only rows that need it

    with warnings.catch_warnings():
        # facexlib uses an argument of torchvision's ResNet that torchvision 0.13 renamed.
        warnings.filterwarnings(
            "ignore", message="The parameter 'pretrained' is deprecated", category=UserWarning
        )
        warnings.filterwarnings(
            "ignore", message="Arguments other than a weight enum", category=UserWarning
        )
        net: nn.Module = RetinaFace(network_name=backbone, half=False, device=torch.device("cpu"))
    return net


RETINAFACE_RESNET50 = ModuleAdapter(functools.partial(new_retinaface, "resnet50"))
RETINAFACE_MOBILE = ModuleAdapter(functools.partial(new_retinaface, "mobile0.25"))
