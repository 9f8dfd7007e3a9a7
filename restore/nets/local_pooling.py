"""Test-time local statistics for networks that average over the whole picture (NAFNet).

A network trained on patches learns what averages over a patch look like; averages over a larger picture are distributed
differently. The remedy needs no training: at test time every global average becomes the average of a window of about the size
seen in training (TLC: Chu et al., "Improving Image Restoration by Revisiting Global Information Aggregation", ECCV 2022).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LocalAveragePool2d(nn.Module):
    """The mean of a window around each position; the whole map's mean where the window covers the map.

    Args:
        kernel_px: side of the square window, in pixels of the feature map.
    """

    def __init__(self, kernel_px: int) -> None:
        super().__init__()
        self.kernel_px = kernel_px

    def forward(self, features: Tensor) -> Tensor:
        """Averages N,C,H,W features to N,C,h,w, which broadcasts against them: a side is 1 where the window covers that side."""
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
    """Replaces the global averages of a NAFNet by local ones, in place (TLC, Chu et al., ECCV 2022).

    The parameters and their names stay as they are. A stage at 1/2**level of the picture's size gets windows of
    kernel_px / 2**level: 384 is one and a half times the 256 px patches that NAFNet-GoPro was trained on, as its authors test it.

    Args:
        net: a network with stages `encoders`, `middle_blks` and `decoders`, each encoder halving and each decoder doubling the size.
        kernel_px: side of the window in pixels of the picture.

    Returns:
        `net` itself.

    Raises:
        ValueError: the network has no such stages, nothing to replace in them, or the window vanishes at its deepest level.
    """
    replaced = 0
    for level, stage in _stages(net):
        window_px = kernel_px >> level
        if window_px < 1:
            raise ValueError(
                f"a window of {kernel_px} px vanishes at 1/{2**level} of the picture's size"
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
    """Each stage of a U-shaped network with its level: 0 at the picture's size, one more for each halving."""
    stages = dict(net.named_children())
    if not {"encoders", "middle_blks", "decoders"} <= stages.keys():
        raise ValueError(
            f"{type(net).__name__} has no encoders, middle_blks and decoders: where its global averages sit is unknown"
        )
    encoders = tuple(stages["encoders"].children())
    yield from enumerate(encoders)
    yield len(encoders), stages["middle_blks"]
    for index, decoder in enumerate(stages["decoders"].children()):
        yield len(encoders) - 1 - index, decoder


def _windowed_mean(features: Tensor, kernel_px: int, dim: int) -> Tensor:
    """The mean of every full window along one direction, in float32 at least: side - kernel_px + 1 of them, or the one mean of all."""
    precision = torch.promote_types(features.dtype, torch.float32)
    side = features.shape[dim]
    if side <= kernel_px:
        return features.mean(dim, keepdim=True, dtype=precision)
    # A sum over any window is the difference of two running sums; taken one direction at a time these stay short, so that
    # float32 is enough where an integral image over both directions would need float64, twice the memory.
    sums = features.cumsum(dim, dtype=precision)
    first = sums.narrow(dim, kernel_px - 1, 1)
    others = sums.narrow(dim, kernel_px, side - kernel_px) - sums.narrow(dim, 0, side - kernel_px)
    return torch.cat((first, others), dim).div_(kernel_px)


def _padding(side: int, windows: int) -> tuple[int, int]:
    """How far to repeat the outermost windows before and after; none where one window covers the side."""
    missing = 0 if windows == 1 else side - windows
    return missing // 2, missing - missing // 2
