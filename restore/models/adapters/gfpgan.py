"""GFPGAN (Wang et al., CVPR 2021)."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from restore.models.adapters.base import FaceAdapter
from restore.models.adapters.library import LibraryAdapter
from restore.models.spandrel_parts import import_part
from restore.nets.low_precision.gfpgan import LowPrecisionGfpgan
from restore.nets.modulated_conv import FeatureModulatedConv2d

_ENLARGEMENTS = {None: 1.0, "upsample": 2.0, "downsample": 0.5}


class GfpganAdapter(LibraryAdapter, FaceAdapter):
    """The network returns the faces and its intermediate images.

    Calls are deterministic: they use the noise of the checkpoint (randomize_noise=False). The
    official inference code draws new noise for every call.
    """

    call_options = MappingProxyType({"return_rgb": False, "randomize_noise": False})

    def rewrite(self, net: nn.Module) -> nn.Module:
        """Scale features instead of filters, so that all faces of a batch share the filters."""
        package = "spandrel.architectures.GFPGAN.__arch"
        gfpgan_class = import_part(f"{package}.gfpganv1_clean_arch").GFPGANv1Clean
        conv_class = import_part(f"{package}.stylegan2_clean_arch").ModulatedConv2d
        copied = super().rewrite(net)
        for parent in list(copied.modules()):
            for name, child in parent.named_children():
                if isinstance(child, conv_class):
                    setattr(parent, name, feature_modulated(child))
        if isinstance(copied, gfpgan_class):
            # The network flattens these features and needs them in NCHW order.
            copied.final_conv = nn.Sequential(copied.final_conv, Contiguous())
        return copied

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        del encoder_dtype
        return LowPrecisionGfpgan(self.rewrite(net), dtype)

    def restore_faces(self, net: nn.Module, faces: Tensor, fidelity: float) -> Tensor:
        del fidelity
        if isinstance(net, LowPrecisionGfpgan):
            lowered: Tensor = net(faces)
            return lowered
        image: Tensor = net(faces, **self.call_options)[0]
        return image


class Contiguous(nn.Module):
    """Convert features to the contiguous (NCHW) memory layout."""

    def forward(self, features: Tensor) -> Tensor:
        return features.contiguous()


def feature_modulated(conv: Any) -> FeatureModulatedConv2d:  # noqa: ANN401 - spandrel has no types
    """Convert spandrel's ModulatedConv2d."""
    return FeatureModulatedConv2d(
        conv.weight.detach()[0],
        conv.modulation,
        enlargement=_ENLARGEMENTS[conv.sample_mode],
        eps=conv.eps if conv.demodulate else None,
    )


GFPGAN = GfpganAdapter("spandrel.architectures.GFPGAN", {"gfpgan-1.3": {}, "gfpgan-1.4": {}})
