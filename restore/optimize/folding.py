"""The same networks with less work: batch norms in their convolutions' filters, padding inside of convolutions, swish in one pass.

Modules are replaced in place, those of a library by what they are called there: no network of a library is imported for it.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold(net: nn.Module) -> nn.Module:
    """`net`, in eval mode, with all of this module's replacements; what it computes differs by rounding alone."""
    for parent in list(net.modules()):
        _fold_batch_norms(parent)
        for name, child in list(parent.named_children()):
            if {
                "scale_func",
                "reflection_pad",
                "conv2d",
                "norm",
                "relu",
            } <= child.__dict__.keys() | child._modules.keys():
                setattr(parent, name, PaddedLayer(child))
            elif {
                "norm1",
                "conv1",
                "norm2",
                "conv2",
                "in_channels",
            } <= child.__dict__.keys() | child._modules.keys():
                setattr(parent, name, SwishResidual(child))
    return net


def _fold_batch_norms(parent: nn.Module) -> None:
    """Norms right behind their convolutions: in a sequence, or named as in a ResNet (`conv1`, `bn1`)."""
    children = dict(parent.named_children())
    pairs = [(f"conv{n}", f"bn{n}") for n in (1, 2, 3)]
    if isinstance(parent, nn.Sequential):
        pairs = list(zip(children, list(children)[1:], strict=False))
    for conv, norm in pairs:
        first, second = children.get(conv), children.get(norm)
        if (
            type(first) is nn.Conv2d
            and isinstance(second, nn.BatchNorm2d)
            and not (second.training or first._forward_pre_hooks)
        ):
            setattr(parent, conv, fuse_conv_bn_eval(first, second))
            setattr(parent, norm, nn.Identity())


class PaddedLayer(nn.Module):
    """A layer of facexlib's ParseNet: enlarged or not, a convolution with reflected borders, its batch norm, its activation.

    Args:
        layer: facexlib's `ConvLayer`; its modules are shared.
    """

    def __init__(self, layer: Any) -> None:  # noqa: ANN401 - facexlib has no types
        super().__init__()
        plain, norm = layer.conv2d, layer.norm.norm
        assert isinstance(plain, nn.Conv2d), "facexlib calls it so"
        folded = fuse_conv_bn_eval(plain, norm) if isinstance(norm, nn.BatchNorm2d) else plain
        padding = layer.reflection_pad.padding[0] if layer.use_pad else 0
        kernel: Any = plain.kernel_size
        stride: Any = plain.stride
        self.conv = nn.Conv2d(
            plain.in_channels,
            plain.out_channels,
            kernel,
            stride,
            padding,
            padding_mode="reflect",
            device="meta",
        )
        self.conv.weight = folded.weight
        self.conv.bias = folded.bias
        self.scale_func = layer.scale_func
        activation = layer.relu.func
        # Where there is none, the library multiplies by one.
        self.activation = activation if isinstance(activation, nn.Module) else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        answer: Tensor = self.activation(self.conv(self.scale_func(features)))
        return answer


class SwishResidual(nn.Module):
    """A residual block of VQGAN's kind, as CodeFormer and RestoreFormer have it: norm, swish, convolution, twice, beside a shortcut.

    Args:
        block: the library's; its modules are shared.
    """

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - two libraries have one each
        super().__init__()
        self.norm1, self.conv1, self.norm2, self.conv2 = (
            block.norm1,
            block.conv1,
            block.norm2,
            block.conv2,
        )
        shortcuts = [
            getattr(block, name)
            for name in ("conv_out", "nin_shortcut", "conv_shortcut")
            if hasattr(block, name)
        ]
        self.shortcut = shortcuts[0] if shortcuts else nn.Identity()

    def forward(self, features: Tensor, time: None = None) -> Tensor:
        """Features as the block takes them; a diffusion model's time is not known here.

        Raises:
            ValueError: a time is given.
        """
        if time is not None:
            raise ValueError("a block of a diffusion model")
        inner = self.conv1(F.silu(self.norm1(features), inplace=True))
        inner = self.conv2(F.silu(self.norm2(inner), inplace=True))
        answer: Tensor = inner.add_(self.shortcut(features))
        return answer
