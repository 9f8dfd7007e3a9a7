"""Real-ESRGAN's RRDB network (Wang et al., ECCVW 2018) below float32, without concatenation."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.low_precision.layers import scale_conv_outputs

RESIDUAL_SCALE = 0.2


class DenseBlock(nn.Module):
    """A dense block that convolves each feature map once, for all later layers.

    The library concatenates all maps before each of its five convolutions (64 to 192 channels in,
    32 or 64 out). Here each map has one convolution (64 or 32 channels in, 192, 160, 128, 96 or 64
    out), and each layer sums its parts. The work is the same, the outputs are wide enough for
    tensor cores, and nothing is copied.

    Args:
        block: the library's block.
    """

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        layers = [getattr(block, f"conv{number}")[0] for number in range(1, 6)]
        self.slope = float(block.conv1[1].negative_slope)
        scale_conv_outputs(layers[-1], torch.full_like(layers[-1].bias.detach(), RESIDUAL_SCALE))
        map_widths = [layers[0].in_channels, *(layer.out_channels for layer in layers[:-1])]
        self.widths = [layer.out_channels for layer in layers]
        self.convs = nn.ModuleList(
            _joint_conv(layers[index:], sum(map_widths[:index]), width, has_bias=index == 0)
            for index, width in enumerate(map_widths)
        )

    def forward(self, x: Tensor) -> Tensor:
        outputs: list[Tensor] = []
        features = x
        for index, conv in enumerate(self.convs):
            outputs.append(conv(features))
            total = self._sum(outputs, index)
            is_last = index == len(self.widths) - 1
            features = total if is_last else F.leaky_relu(total, self.slope)
        return x + features

    def _sum(self, outputs: list[Tensor], index: int) -> Tensor:
        """Sum what the maps so far contribute to layer `index`."""
        parts = []
        for source, output in enumerate(outputs):
            start = sum(self.widths[source:index])
            parts.append(output[:, start : start + self.widths[index]])
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


def _joint_conv(layers: list[nn.Conv2d], start: int, width: int, *, has_bias: bool) -> nn.Conv2d:
    """Join the weights with which several layers read the input channels `start` onwards."""
    weight = torch.cat([layer.weight.detach()[:, start : start + width] for layer in layers])
    conv = nn.Conv2d(width, len(weight), 3, padding=1, bias=has_bias, device=weight.device)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    if has_bias:
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        conv.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
    return conv


class Rrdb(nn.Module):
    """Three dense blocks with a shortcut around them."""

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.blocks = nn.ModuleList(
            DenseBlock(each) for each in (block.RDB1, block.RDB2, block.RDB3)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for block in self.blocks:
            y = block(y)
        return torch.add(x, y, alpha=RESIDUAL_SCALE)


def replace_dense_blocks(net: nn.Module) -> nn.Module:
    """Replace the RRDB blocks of a library's network, in place; return `net`."""
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if type(child).__name__ == "RRDB" and cast(Any, child).RDB1.conv1x1 is None:
                setattr(parent, name, Rrdb(child))
    return net
