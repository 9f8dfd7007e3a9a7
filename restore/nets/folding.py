"""Rewrites networks in eval mode so that they compute the same with fewer operations.

Norms with constant factors are folded into convolution weights, padding into convolutions, and
SiLU into one in-place operation. Layers of libraries are recognised by their attributes, so that
no library is imported. Outputs differ by rounding only.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import remove_spectral_norm
from torch.nn.utils.fusion import fuse_conv_bn_eval

_PADDED_LAYER = frozenset({"scale_func", "reflection_pad", "conv2d", "norm", "relu"})
_SWISH_BLOCK = frozenset({"norm1", "conv1", "norm2", "conv2", "in_channels"})


def fold_norms(net: nn.Module) -> nn.Module:
    """Fold spectral norms and batch norms into convolution weights, in place; return `net`."""
    fold_spectral_norms(net)
    for module in list(net.modules()):
        _fold_batch_norms(module)
    return net


def fold_spectral_norms(net: nn.Module) -> nn.Module:
    """Divide each weight by its spectral norm once instead of in every call, in place.

    The norm is u^T W v with the vectors u and v of the checkpoint. Call this after the weights are
    loaded: afterwards, the keys of the state dict differ from those of the checkpoint.
    """
    for module in net.modules():
        if hasattr(module, "weight_orig"):
            remove_spectral_norm(module)
    return net


def fuse_padded_layers(net: nn.Module) -> nn.Module:
    """Replace the layers of facexlib's ParseNet, in place; return `net`."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if _attributes(child) >= _PADDED_LAYER:
                setattr(parent, name, PaddedLayer(child))
    return net


def fuse_swish_blocks(net: nn.Module) -> nn.Module:
    """Replace the residual blocks of VQGAN networks, in place; return `net`."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if _attributes(child) >= _SWISH_BLOCK:
                setattr(parent, name, SwishResidual(child))
    return net


def _attributes(module: nn.Module) -> set[str]:
    return module.__dict__.keys() | module._modules.keys()


def _fold_batch_norms(parent: nn.Module) -> None:
    """Fold norms that follow a convolution: in a Sequential, or named conv1, bn1 as in ResNets."""
    children = dict(parent.named_children())
    pairs = [(f"conv{n}", f"bn{n}") for n in (1, 2, 3)]
    if isinstance(parent, nn.Sequential):
        pairs = list(zip(children, list(children)[1:], strict=False))
    for conv_name, norm_name in pairs:
        conv, norm = children.get(conv_name), children.get(norm_name)
        if (
            type(conv) is nn.Conv2d
            and isinstance(norm, nn.BatchNorm2d)
            and not (norm.training or conv._forward_pre_hooks)
        ):
            setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
            setattr(parent, norm_name, nn.Identity())


class PaddedLayer(nn.Module):
    """A layer of facexlib's ParseNet: scaling, convolution (reflected borders), norm, activation.

    Args:
        layer: facexlib's `ConvLayer`; its modules are shared.
    """

    def __init__(self, layer: Any) -> None:  # noqa: ANN401 - facexlib has no types
        super().__init__()
        conv, norm = layer.conv2d, layer.norm.norm
        assert isinstance(conv, nn.Conv2d), "facexlib's ConvLayer contains a Conv2d"
        folded = fuse_conv_bn_eval(conv, norm) if isinstance(norm, nn.BatchNorm2d) else conv
        padding = layer.reflection_pad.padding[0] if layer.use_pad else 0
        kernel_size: Any = conv.kernel_size
        stride: Any = conv.stride
        self.conv = nn.Conv2d(
            conv.in_channels,
            conv.out_channels,
            kernel_size,
            stride,
            padding,
            padding_mode="reflect",
            device="meta",
        )
        self.conv.weight = folded.weight
        self.conv.bias = folded.bias
        self.scale_func = layer.scale_func
        activation = layer.relu.func
        # Without an activation, `func` multiplies by one.
        self.activation = activation if isinstance(activation, nn.Module) else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        output: Tensor = self.activation(self.conv(self.scale_func(features)))
        return output


class SwishResidual(nn.Module):
    """A residual block of CodeFormer and RestoreFormer: twice norm, SiLU, convolution; a shortcut.

    Args:
        block: the library's block; its modules are shared.
    """

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the libraries have no types
        super().__init__()
        self.norm1, self.conv1 = block.norm1, block.conv1
        self.norm2, self.conv2 = block.norm2, block.conv2
        shortcuts = [
            getattr(block, name)
            for name in ("conv_out", "nin_shortcut", "conv_shortcut")
            if hasattr(block, name)
        ]
        self.shortcut = shortcuts[0] if shortcuts else nn.Identity()

    def forward(self, features: Tensor, time: None = None) -> Tensor:
        """Compute the block.

        Args:
            features: NxCxHxW.
            time: the time embedding of diffusion models, which is not supported.

        Raises:
            ValueError: `time` is given.
        """
        if time is not None:
            raise ValueError("blocks of diffusion models (with a time embedding) are not supported")
        inner = self.conv1(F.silu(self.norm1(features), inplace=True))
        inner = self.conv2(F.silu(self.norm2(inner), inplace=True))
        output: Tensor = inner.add_(self.shortcut(features))
        return output
