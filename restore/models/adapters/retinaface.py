"""RetinaFace (Deng et al., CVPR 2020), the face detector of facexlib."""

from __future__ import annotations

import functools
import warnings

import torch
from torch import Tensor, nn

from restore.models.adapters.base import ModuleAdapter
from restore.models.catalog import Checkpoint
from restore.nets.low_precision.layers import CastingForward, convert_floats

FIXED_SIDES_PX = ((640, 640), (640, 853), (853, 640), (640, 960), (960, 640))
"""Height and width of photos with sides of 1:1, 4:3 and 3:2, reduced to a short side of 640."""
_MEAN_LEVEL = 114.0  # facexlib subtracts the mean of each channel


class RetinafaceAdapter(ModuleAdapter):
    """facexlib calls the network in its method `detect_faces`."""

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        """Cast in `forward`, so that the copy keeps the methods of facexlib's class."""
        del encoder_dtype
        copied = convert_floats(self.rewrite(net), dtype)
        copied.forward = CastingForward(copied.forward, dtype)
        return copied

    def fixed_inputs(self, row: Checkpoint) -> list[tuple[Tensor, ...]]:
        del row
        generator = torch.Generator().manual_seed(0)
        return [
            (torch.rand(1, 3, height, width, generator=generator) * 255.0 - _MEAN_LEVEL,)
            for height, width in FIXED_SIDES_PX
        ]


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


RETINAFACE_RESNET50 = RetinafaceAdapter(functools.partial(new_retinaface, "resnet50"))
RETINAFACE_MOBILE = RetinafaceAdapter(functools.partial(new_retinaface, "mobile0.25"))
