"""LiteUpscale, the embedded upscaler that adds film grain to the output of a Compact network."""

from __future__ import annotations

from torch import nn

from restore.models.adapters.base import ModuleAdapter, UpscaleAdapter
from restore.models.spandrel_parts import import_part
from restore.nets.lite.grain import SCALE
from restore.nets.lite.upscale import CONVOLUTIONS, FEATURES, LiteUpscale


class LiteUpscaleAdapter(ModuleAdapter, UpscaleAdapter):
    """The network consists of an upscaler (`picture`) and the layers that add grain."""

    def without_grain(self, net: nn.Module) -> nn.Module:
        return net.picture if isinstance(net, LiteUpscale) else net


def new_lite_upscale() -> LiteUpscale:
    """Build the network with untrained weights."""
    compact = import_part("spandrel.architectures.Compact").Compact
    return LiteUpscale(
        compact(num_feat=FEATURES, num_conv=CONVOLUTIONS, upscale=SCALE, act_type="prelu")
    )


LITE_UPSCALE = LiteUpscaleAdapter(new_lite_upscale)
