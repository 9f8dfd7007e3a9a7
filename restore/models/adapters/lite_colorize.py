"""LiteColorize, the embedded colorization network."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from restore.models.adapters.base import ColorizeAdapter, ModuleAdapter
from restore.nets.lite.colorize import AB_SCALE, LiteColorize

_MAX_L = 100.0  # of CIE Lab


class LiteColorizeAdapter(ModuleAdapter, ColorizeAdapter):
    """The input is L / 100; the output is ab / AB_SCALE."""

    def to_input(self, luminance: np.ndarray) -> np.ndarray:
        return luminance / _MAX_L

    def predict_ab(self, net: nn.Module, inputs: Tensor) -> Tensor:
        output: Tensor = net(inputs)
        return output * AB_SCALE


LITE_COLORIZE = LiteColorizeAdapter(LiteColorize)
