"""What the embedded networks are made of: residual blocks without norms, and how such a network starts."""

from __future__ import annotations

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
        if isinstance(module, Block):
            nn.init.zeros_(module.second.weight)
