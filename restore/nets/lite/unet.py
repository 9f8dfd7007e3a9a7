"""What the embedded networks are made of: residual blocks without norms, and how such a network starts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two convolutions beside an identity.

    Args:
        width: channels.
        dilation: of the first convolution.
        slope: of the activation below zero; 0 is a ReLU.
    """

    def __init__(self, width: int, dilation: int = 1, slope: float = 0.1) -> None:
        super().__init__()
        self.slope = slope
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.second(F.leaky_relu(self.first(x), self.slope))
        return x + inner


def start_as_identities(net: nn.Module) -> None:
    """Starts every scale at the same strength and every block as an identity: without normalisation, training else stalls."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    # After all convolutions, as the second ones are among them.
    for module in net.modules():
        if isinstance(module, Block):
            for parameter in module.second.parameters():
                nn.init.zeros_(parameter)


class UNet(nn.Module):
    """Stages of blocks at several scales: down, the coarsest, and up again, where each stage gets what its twin found added.

    Args:
        widths: channels at each scale, the finest first.
        stage: channels -> the blocks before, and those after, a change of scale.
        middle: the blocks of the coarsest scale.
    """

    def __init__(
        self, widths: Sequence[int], stage: Callable[[int], nn.Module], middle: nn.Module
    ) -> None:
        super().__init__()
        steps = list(itertools.pairwise(widths))
        self.encoders = nn.ModuleList(stage(width) for width in widths[:-1])
        self.downs = nn.ModuleList(
            nn.Conv2d(finer, coarser, 2, stride=2) for finer, coarser in steps
        )
        self.middle = middle
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(coarser, finer, 2, stride=2) for finer, coarser in steps
        )
        self.decoders = nn.ModuleList(stage(width) for width in widths[:-1])

    def through_scales(self, x: Tensor) -> Tensor:
        """NxCxHxW features of the finest scale -> the same; height and width are multiples of 2 for each change of scale."""
        skips = []
        for encode, down in zip(self.encoders, self.downs, strict=True):
            x = encode(x)
            skips.append(x)
            x = down(x)
        x = self.at_the_coarsest(x)
        for up, decode, skip in reversed(list(zip(self.ups, self.decoders, skips, strict=True))):
            x = decode(up(x) + skip)
        return x

    def at_the_coarsest(self, x: Tensor) -> Tensor:
        """What is done at the coarsest scale."""
        answer: Tensor = self.middle(x)
        return answer


def blocks(width: int, slope: float = 0.1) -> nn.Sequential:
    """Two residual blocks in a row."""
    return nn.Sequential(Block(width, slope=slope), Block(width, slope=slope))
