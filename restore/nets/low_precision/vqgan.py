"""The blocks of VQGAN networks (Esser et al., CVPR 2021), as CodeFormer and RestoreFormer use them.

Layers of both libraries are recognised by their class names, so that no library is imported.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from restore.nets.low_precision.layers import GroupNormSwish, pixel_attention

_RESIDUAL_BLOCKS = frozenset({"ResBlock", "ResnetBlock", "SwishResidual"})
_ATTENTION_BLOCKS = frozenset({"AttnBlock", "MultiHeadAttnBlock"})
_SHORTCUTS = ("conv_out", "nin_shortcut", "conv_shortcut")


class VqganResidual(nn.Module):
    """A residual block: twice norm, SiLU, convolution; a shortcut.

    Args:
        block: the library's block; its modules are shared.
    """

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the libraries have no types
        super().__init__()
        self.norm1, self.norm2 = GroupNormSwish(block.norm1), GroupNormSwish(block.norm2)
        self.conv1, self.conv2 = block.conv1, block.conv2
        shortcuts = [getattr(block, name) for name in _SHORTCUTS if hasattr(block, name)]
        self.shortcut = shortcuts[0] if shortcuts else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv2(self.norm2(self.conv1(self.norm1(x))))
        output: Tensor = residual + self.shortcut(x)
        return output


class VqganAttention(nn.Module):
    """Attention between the pixels of features; queries may come from other features.

    Args:
        block: the library's block; its modules are shared.
    """

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the libraries have no types
        super().__init__()
        norm = getattr(block, "norm1", None) or block.norm
        self.norm = GroupNormSwish(norm, swish=False)
        has_other = hasattr(block, "norm2")
        self.norm_other = GroupNormSwish(block.norm2, swish=False) if has_other else None
        self.q, self.k, self.v, self.proj_out = block.q, block.k, block.v, block.proj_out
        self.heads = int(getattr(block, "head_size", 1))

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        normed = self.norm(x)
        source = normed
        if other is not None and self.norm_other is not None:
            source = self.norm_other(other)
        attended = pixel_attention(self.q(source), self.k(normed), self.v(normed), self.heads)
        output: Tensor = x + self.proj_out(attended)
        return output


def convert_block(block: nn.Module) -> nn.Module:
    """Return this module's version of a library's block; other modules are returned unchanged."""
    kind = type(block).__name__
    if kind in _RESIDUAL_BLOCKS:
        return VqganResidual(block)
    if kind in _ATTENTION_BLOCKS:
        return VqganAttention(block)
    return GroupNormSwish(block, swish=False) if isinstance(block, nn.GroupNorm) else block
