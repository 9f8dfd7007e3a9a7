"""LiteColorize, the embedded colorization network."""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from restore.models.adapters.base import ColorizeAdapter, ModuleAdapter
from restore.nets.lite.colorize import AB_SCALE, LiteColorize
from restore.nets.low_precision.layers import Cast, convert_floats

_MAX_L = 100.0  # of CIE Lab


class LiteColorizeAdapter(ModuleAdapter, ColorizeAdapter):
    """The input is L / 100; the output is ab / AB_SCALE."""

    reduction = cv2.INTER_AREA  # as in the training
    max_aspect = 2.0

    def to_input(self, luminance: np.ndarray) -> np.ndarray:
        return luminance / _MAX_L

    def to_input_on_device(self, luminance: Tensor) -> Tensor:
        return luminance / _MAX_L

    def predict_ab(self, net: nn.Module, inputs: Tensor) -> Tensor:
        output: Tensor = net(inputs)
        return output * AB_SCALE

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        """Keep the resizing of the ensemble and the choice of colours in float32.

        A CPU has no antialiased resizing below float32.
        """
        del encoder_dtype
        copied: Any = self.rewrite(net)
        copied.encoder = nn.Sequential(Cast(dtype), convert_floats(copied.encoder, dtype))
        copied.decoder = nn.Sequential(convert_floats(copied.decoder, dtype), Cast(torch.float32))
        return cast(nn.Module, copied)


LITE_COLORIZE = LiteColorizeAdapter(LiteColorize)
