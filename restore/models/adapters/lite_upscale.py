"""LiteUpscale, the embedded upscaler that adds film grain to the output of a Compact network."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from restore.models.adapters.base import ModuleAdapter, UpscaleAdapter
from restore.models.spandrel_parts import import_part
from restore.nets.lite.grain import SCALE
from restore.nets.lite.upscale import CONVOLUTIONS, FEATURES, LiteUpscale
from restore.nets.low_precision.layers import Cast, Float32Boundary, convert_floats


class LiteUpscaleAdapter(ModuleAdapter, UpscaleAdapter):
    """The network consists of an upscaler (`picture`) and the layers that add grain."""

    def without_grain(self, net: nn.Module) -> nn.Module:
        return net.picture if isinstance(net, LiteUpscale) else net

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        """Cast inside of the upscaler, which is also called alone; noise stays float32."""
        del encoder_dtype
        copied: Any = self.rewrite(net)
        body: Any = convert_floats(copied.picture, dtype).body
        body[0] = nn.Sequential(Cast(dtype), body[0])
        body[-1] = nn.Sequential(body[-1], Cast(torch.float32))
        copied.grain = Float32Boundary(convert_floats(copied.grain, dtype), dtype)
        return cast(nn.Module, copied)


def new_lite_upscale() -> LiteUpscale:
    """Build the network with untrained weights."""
    compact = import_part("spandrel.architectures.Compact").Compact
    return LiteUpscale(
        compact(num_feat=FEATURES, num_conv=CONVOLUTIONS, upscale=SCALE, act_type="prelu")
    )


LITE_UPSCALE = LiteUpscaleAdapter(new_lite_upscale)
