"""DDColor (Kang et al., ICCV 2023)."""

from __future__ import annotations

import copy
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from restore.imaging.device_colour import rgb_of
from restore.models.adapters.base import ColorizeAdapter
from restore.models.adapters.library import ExtraLibraryAdapter
from restore.nets.low_precision.ddcolor import LowPrecisionDdcolor

# The constructor runs an image of input_size through the encoder to find its channel counts.
_SIZES = {
    "input_size": (64, 64),
    "num_output_channels": 2,
    "last_norm": "Spectral",
    "num_queries": 100,
}


class DdcolorAdapter(ExtraLibraryAdapter, ColorizeAdapter):
    """The input is a grey RGB photo; the output is in Lab units."""

    # The encoder passes features on in forward hooks; torch.compile turns them into constants.
    can_compile = False

    def to_input(self, luminance: np.ndarray) -> np.ndarray:
        zeros = np.zeros_like(luminance)
        return cv2.cvtColor(np.concatenate([luminance, zeros, zeros], axis=-1), cv2.COLOR_LAB2RGB)

    def to_input_on_device(self, luminance: Tensor) -> Tensor:
        return rgb_of(luminance, torch.zeros_like(luminance).expand(-1, 2, -1, -1))

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        del encoder_dtype
        return LowPrecisionDdcolor(copy.deepcopy(net), dtype)

    def predict_ab(self, net: nn.Module, inputs: Tensor) -> Tensor:
        if isinstance(net, LowPrecisionDdcolor):  # it has no hooks
            lowered: Tensor = net(inputs)
            return lowered
        try:
            output: Tensor = net(inputs)
        finally:
            # The hooks would keep the features in memory until the next call.
            for hook in cast(Any, net).encoder.hooks:
                hook.feature = None
        return output


DDCOLOR = DdcolorAdapter(
    "spandrel_extra_arches.architectures.DDColor",
    {
        "ddcolor-modelscope": {"encoder_name": "convnext-l", **_SIZES},
        "ddcolor-artistic": {"encoder_name": "convnext-l", **_SIZES},
        "ddcolor-paper-tiny": {"encoder_name": "convnext-t", **_SIZES},
    },
)
