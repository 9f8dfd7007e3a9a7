"""Attention blocks that fill the holes of feature maps: non-local and by patches.

Attention is exact and computed in chunks of queries: a chunk holds at most `max_chunk_bytes` of
scores. Memory therefore grows with the number of positions and not with its square, which is
256 GiB for a photo of 2048 px. The amount of computation still grows with the square.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.old_photo.vae import ResidualBlock

MAX_CHUNK_BYTES = 256 << 20
MIN_MASS = 1e-12  # lower bound of divisors: the attention to visible keys, and norms
MAX_MASKED_SHARE = 0.6  # of a patch; patches with a larger masked share are replaced


def residual_blocks(count: int, channels: int) -> list[nn.Module]:
    """Return a list of residual blocks."""
    return [ResidualBlock(channels) for _ in range(count)]


class MaskedNonLocal(nn.Module):
    """Self-attention from every position to all visible ones; its output fills the holes.

    Args:
        channels: input and output channels.
        max_chunk_bytes: memory for one chunk of attention scores.
    """

    def __init__(self, channels: int, max_chunk_bytes: int = MAX_CHUNK_BYTES) -> None:
        super().__init__()
        self.max_chunk_bytes = max_chunk_bytes
        self.theta, self.phi, self.g, self.W = (nn.Conv2d(channels, channels, 1) for _ in range(4))
        self.res_block = nn.Sequential(*residual_blocks(3, channels))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Fill holes; visible positions stay as they are.

        Args:
            x: NxCxhxw.
            mask: Nx1xHxW, 1 in holes and 0 elsewhere.

        Raises:
            ValueError: the mask has another shape.
        """
        visible = ~(
            (_resize_mask(mask, x, "bilinear") > 0) | (_resize_mask(mask, x, "nearest") > 0)
        )
        if bool(visible.all()):
            return x
        # Only holes use `filled`, but all of it is computed: convolutions mix neighbouring
        # positions, and instance norms use the whole map.
        filled = self.res_block(self.W(self.attend(x, visible)))
        return torch.where(visible, x, filled)

    def attend(self, x: Tensor, visible: Tensor) -> Tensor:
        """Compute attention over visible positions.

        As in the official network, the softmax runs over all keys; the weights of holes are then
        set to zero and the rest is scaled to a sum of one. This differs from a softmax over
        visible keys: a query whose attention goes nearly completely to holes is scaled by at most
        1e12, so that its output stays small.

        Args:
            x: NxCxhxw.
            visible: Nx1xhxw booleans, false in holes.

        Returns:
            NxCxhxw.
        """
        tokens = x.flatten(2)
        keys = self.phi(x).flatten(2)
        is_visible = visible.flatten(2).to(x.dtype)
        values = self.g(x).flatten(2).mul_(is_visible)
        attended = torch.empty_like(tokens)
        batch_size, positions = tokens.shape[0], tokens.shape[-1]
        chunk = max(1, self.max_chunk_bytes // (batch_size * positions * x.element_size()))
        for start in range(0, positions, chunk):
            queries = self.theta(tokens[..., start : start + chunk, None])[..., 0]
            weights = queries.mT @ keys
            weights = weights.sub_(weights.amax(-1, keepdim=True)).exp_()
            # Dividing after the product divides C values per query instead of all weights.
            total = weights.sum(-1, keepdim=True)
            mass = (weights @ is_visible.mT / total).clamp_min_(MIN_MASS)
            attended[..., start : start + chunk] = values @ weights.mT / (total * mass).mT
        return attended.view_as(x)


class PatchAttention(nn.Module):
    """Replace each mostly masked patch by the most similar visible one, then merge with the input.

    Args:
        channels: input and output channels.
        patch_side: side of a patch in feature positions.
        max_chunk_bytes: memory for one chunk of similarities.
    """

    def __init__(
        self, channels: int, patch_side: int, max_chunk_bytes: int = MAX_CHUNK_BYTES
    ) -> None:
        super().__init__()
        self.patch_side = patch_side
        self.max_chunk_bytes = max_chunk_bytes
        self.res_block = nn.Sequential(*residual_blocks(1, channels))
        self.F_Combine = nn.Conv2d(2 * channels + 1, channels, 3, padding=1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Fill holes.

        Args:
            x: NxCxhxw.
            mask: Nx1xHxW, 1 in holes and 0 elsewhere.

        Raises:
            ValueError: the mask has another shape, or no patch is visible.
        """
        holes = (_resize_mask(mask, x, "bilinear") > 0).to(x.dtype)
        filled = torch.stack(
            [
                self.fill_patches(features, hole)
                for features, hole in zip(self.res_block(x), holes, strict=True)
            ]
        )
        combined: Tensor = self.F_Combine(torch.cat((x, filled, holes), dim=1))
        return combined

    def fill_patches(self, features: Tensor, holes: Tensor) -> Tensor:
        """Replace the masked patches of one feature map.

        As in the official network, positions at the right and bottom that do not fill a patch
        become zero as soon as one patch is masked. There are none when the sides of the photo are
        divisible by 32.

        Args:
            features: Cxhxw.
            holes: 1xhxw, 1 in holes and 0 elsewhere.

        Raises:
            ValueError: every patch is masked.
        """
        side = self.patch_side
        masked = F.avg_pool2d(holes, side).flatten() > MAX_MASKED_SHARE
        if not bool(masked.any()):
            return features
        if bool(masked.all()):
            raise ValueError(
                f"every patch of {side} x {side} features is masked: "
                "there is no visible patch to fill from"
            )
        rows, columns = (length // side for length in features.shape[-2:])
        covered = features[:, : rows * side, : columns * side]
        patches = F.pixel_unshuffle(covered, side).flatten(1)  # one patch per column
        patches[:, masked] = patches[:, self._find_most_similar(patches, masked)]
        filled = torch.zeros_like(features)
        filled[:, : rows * side, : columns * side] = F.pixel_shuffle(
            patches.view(-1, rows, columns), side
        )
        return filled

    def _find_most_similar(self, patches: Tensor, masked: Tensor) -> Tensor:
        """Return, for each masked patch, the index of the visible patch of highest cosine.

        Args:
            patches: DxP, one patch per column.
            masked: P booleans, true for the patches to replace.
        """
        # The norm of a query scales all its similarities alike, so only the norms of keys matter.
        scale = patches.norm(dim=0).clamp_min_(MIN_MASS).reciprocal_()
        queries = masked.nonzero().flatten()
        chunk = max(1, self.max_chunk_bytes // (sum(patches.shape) * patches.element_size()))
        best = []
        for indices in torch.split(queries, chunk):
            similarity = (
                (patches[:, indices].mT @ patches).mul_(scale).masked_fill_(masked, -torch.inf)
            )
            best.append(similarity.argmax(dim=1))
        return torch.cat(best)


def _resize_mask(mask: Tensor, features: Tensor, mode: str) -> Tensor:
    """Resize a mask to the size of the features without antialiasing, as the official code does."""
    if mask.dim() != 4 or mask.shape[:2] != (features.shape[0], 1):
        raise ValueError(
            "a mask must have one plane for each photo, that is shape "
            f"{features.shape[0]},1,H,W, not {tuple(mask.shape)}"
        )
    return F.interpolate(mask.to(features.dtype), features.shape[-2:], mode=mode)
