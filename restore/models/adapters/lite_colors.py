"""LiteColors, the embedded network for faded colours and casts."""

from __future__ import annotations

from torch import Tensor, nn

from restore.models.adapters.base import ColorTableAdapter, ModuleAdapter
from restore.nets.lite.colors import LiteColors


class LiteColorsAdapter(ModuleAdapter, ColorTableAdapter):
    """The table follows from the predicted parameters of a model of fading."""

    def predict_table(self, net: nn.Module, thumbnail: Tensor) -> Tensor:
        table: Tensor = net(thumbnail)
        return table


LITE_COLORS = LiteColorsAdapter(LiteColors)
