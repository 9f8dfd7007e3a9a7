"""LiteInpaint, the embedded inpainting network."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from restore.models.adapters.base import InpaintAdapter, ModuleAdapter
from restore.nets.lite.inpaint import LiteInpaint


class LiteInpaintAdapter(ModuleAdapter, InpaintAdapter):
    """The input has four channels: the photo with a black hole, and the hole."""

    needs_texture: ClassVar[bool] = True
    max_hole_width_px: ClassVar[int | None] = 128  # the widest holes of its training

    def fill(self, net: nn.Module, photo: Tensor, hole: Tensor) -> Tensor:
        filled: Tensor = net(torch.cat([photo * (1.0 - hole), hole], dim=1))
        return filled


LITE_INPAINT = LiteInpaintAdapter(LiteInpaint)
