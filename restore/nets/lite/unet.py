"""Building blocks of the embedded networks: residual blocks without normalisation, and a U-Net."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a skip connection.

    Args:
        channels: input and output channels.
        dilation: dilation of the first convolution.
        negative_slope: slope of the leaky ReLU between them; 0 is a ReLU.
    """

    def __init__(self, channels: int, dilation: int = 1, negative_slope: float = 0.1) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.first = nn.Conv2d(channels, channels, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(F.leaky_relu(self.first(x), self.negative_slope))
        return x + residual


def two_residual_blocks(channels: int, negative_slope: float = 0.1) -> nn.Sequential:
    """Return a sequence of two residual blocks."""
    return nn.Sequential(
        ResidualBlock(channels, negative_slope=negative_slope),
        ResidualBlock(channels, negative_slope=negative_slope),
    )


def init_residual_weights(net: nn.Module) -> None:
    """Initialise a network so that every residual block starts as an identity.

    All convolutions get Kaiming initialisation; the last convolution of each block is then set
    to zero. Without normalisation layers, training stalls otherwise.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    for module in net.modules():
        if isinstance(module, ResidualBlock):
            for parameter in module.second.parameters():
                nn.init.zeros_(parameter)


class UNet(nn.Module):
    """An encoder and a decoder at several scales, with additive skip connections.

    Subclasses add a head and a tail and call `forward_scales` between them.

    Args:
        channels: channels at each scale, from fine to coarse.
        build_stage: builds the blocks of one scale for a number of channels; used for the encoder
            and for the decoder.
        bottleneck: the blocks of the coarsest scale.
    """

    def __init__(
        self,
        channels: Sequence[int],
        build_stage: Callable[[int], nn.Module],
        bottleneck: nn.Module,
    ) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(channels))
        self.encoders = nn.ModuleList(build_stage(count) for count in channels[:-1])
        self.downs = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.middle = bottleneck  # the name is part of the state dict keys
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairs
        )
        self.decoders = nn.ModuleList(build_stage(count) for count in channels[:-1])

    def forward_scales(self, x: Tensor) -> Tensor:
        """Run the encoder, the bottleneck and the decoder.

        Args:
            x: NxCxHxW features of the finest scale; H and W are multiples of 2**(scales - 1).

        Returns:
            NxCxHxW features.
        """
        skips = []
        for encoder, down in zip(self.encoders, self.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = self.forward_bottleneck(x)
        for up, decoder, skip in reversed(list(zip(self.ups, self.decoders, skips, strict=True))):
            x = decoder(up(x) + skip)
        return x

    def forward_bottleneck(self, x: Tensor) -> Tensor:
        """Run the blocks of the coarsest scale."""
        features: Tensor = self.middle(x)
        return features
