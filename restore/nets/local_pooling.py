"""Test-time local statistics for networks with global average pooling (NAFNet).

A network trained on patches has learnt the distribution of averages over a patch; averages over a
larger photo are distributed differently. At test time, every global average is therefore replaced
by the average of a window of roughly the size of a training patch. This needs no training (TLC:
Chu et al., "Improving Image Restoration by Revisiting Global Information Aggregation", ECCV 2022).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LocalAveragePool2d(nn.Module):
    """Average over a window around each position; global where the window covers the map.

    Args:
        kernel_px: side of the square window, in positions of the feature map.
    """

    def __init__(self, kernel_px: int) -> None:
        super().__init__()
        self.kernel_px = kernel_px

    def forward(self, features: Tensor) -> Tensor:
        """Average NxCxHxW features.

        Returns:
            NxCxhxw that broadcasts against the input: h or w is 1 where the window covers that
            side, else H or W.
        """
        height, width = features.shape[-2:]
        if height <= self.kernel_px and width <= self.kernel_px:
            return F.adaptive_avg_pool2d(features, 1)
        rows = _windowed_mean(features, self.kernel_px, dim=-2)
        means = _windowed_mean(rows, self.kernel_px, dim=-1).to(features.dtype)
        return F.pad(
            means,
            (*_padding(width, means.shape[-1]), *_padding(height, means.shape[-2])),
            mode="replicate",
        )

    def extra_repr(self) -> str:
        return f"kernel_px={self.kernel_px}"


def use_local_pooling(net: nn.Module, kernel_px: int = 384) -> nn.Module:
    """Replace the global averages of a NAFNet by local ones, in place (TLC, ECCV 2022).

    Parameters and their names do not change. A stage at 1/2**level of the size of the photo gets
    windows of kernel_px / 2**level.

    Args:
        net: a network with the stages `encoders`, `middle_blks` and `decoders`; each encoder
            halves and each decoder doubles the size.
        kernel_px: side of the window in pixels of the photo. The default is 1.5 times the 256 px
            patches of the training of NAFNet-GoPro, as its authors test it.

    Returns:
        `net` itself.

    Raises:
        ValueError: the network has no such stages or no global average, or the window is below
            one position at the deepest level.
    """
    replaced = 0
    for level, stage in _stages(net):
        window_px = kernel_px >> level
        if window_px < 1:
            raise ValueError(
                f"a window of {kernel_px} px is below one position at 1/{2**level} of the size: "
                "choose a larger kernel_px"
            )
        for parent in stage.modules():
            for name, child in parent.named_children():
                if isinstance(child, nn.AdaptiveAvgPool2d):
                    setattr(parent, name, LocalAveragePool2d(window_px))
                    replaced += 1
    if not replaced:
        raise ValueError(f"{type(net).__name__} has no global average to replace")
    return net


def _stages(net: nn.Module) -> Iterator[tuple[int, nn.Module]]:
    """Yield (level, stage): level 0 is at the size of the photo, each further level halves it."""
    stages = dict(net.named_children())
    if not {"encoders", "middle_blks", "decoders"} <= stages.keys():
        raise ValueError(
            f"{type(net).__name__} has no encoders, middle_blks and decoders: "
            "local pooling supports NAFNet only"
        )
    encoders = tuple(stages["encoders"].children())
    yield from enumerate(encoders)
    yield len(encoders), stages["middle_blks"]
    for index, decoder in enumerate(stages["decoders"].children()):
        yield len(encoders) - 1 - index, decoder


def _windowed_mean(features: Tensor, kernel_px: int, dim: int) -> Tensor:
    """Average every full window along one dimension, in float32 or better.

    Returns:
        side - kernel_px + 1 averages, or one average of the whole side if it is shorter.
    """
    dtype = torch.promote_types(features.dtype, torch.float32)
    side = features.shape[dim]
    if side <= kernel_px:
        return features.mean(dim, keepdim=True, dtype=dtype)
    # The sum of a window is the difference of two running sums. One dimension at a time, these
    # stay small enough for float32; an integral image over both would need float64.
    sums = features.cumsum(dim, dtype=dtype)
    first = sums.narrow(dim, kernel_px - 1, 1)
    others = sums.narrow(dim, kernel_px, side - kernel_px) - sums.narrow(dim, 0, side - kernel_px)
    return torch.cat((first, others), dim).div_(kernel_px)


def _padding(side: int, windows: int) -> tuple[int, int]:
    """Return how often to repeat the first and the last window to get `side` values."""
    missing = 0 if windows == 1 else side - windows
    return missing // 2, missing - missing // 2
