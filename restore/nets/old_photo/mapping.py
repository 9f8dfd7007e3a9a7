"""The mapping networks of Bringing Old Photos Back to Life: features of an old photo -> features of a clean one.

Three of one shape (Wan et al., CVPR 2020): plain for photos without scratches; with a partial non-local block, which fills holes
from what is visible anywhere else; and with patch attention, its substitute for large photos. All are called as
`net(features, holes)`. The names of parts are those of the published checkpoints, which load strictly.

Attention is exact, its queries taken some at a time: a chunk holds at most `chunk_bytes` of scores, so memory grows with the
number of positions and not with its square (the square is 256 GiB for a photo of 2048 px). Work still grows with the square.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.old_photo.vae import ResidualBlock, normalised

WIDTHS = (64, 128, 256, 512)
WIDTH = WIDTHS[-1]
CHUNK_BYTES = 256 << 20
SMALLEST_MASS = (
    1e-12  # of a query's attention to visible keys, below which it is no longer scaled up to one
)
MASKED_SHARE = 0.6  # of a patch, above which it is filled rather than kept


class OldPhotoMapping(nn.Module):
    """Without scratches: N,64,h,w features -> N,64,h,w features."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(*_widening(), *_blocks(6), *_narrowing())

    def forward(self, features: Tensor, holes: Tensor | None = None) -> Tensor:
        """Maps features; `holes` has no influence, as in the official network: it is there because the three are called alike."""
        mapped: Tensor = self.model(features)
        return mapped


class OldPhotoScratchMapping(nn.Module):
    """With scratches: N,64,h,w features and N,1,H,W holes -> N,64,h,w features.

    Args:
        chunk_bytes: memory for one chunk of attention scores.
    """

    def __init__(self, chunk_bytes: int = CHUNK_BYTES) -> None:
        super().__init__()
        self.before_NL = nn.Sequential(*_widening())
        self.NL = MaskedNonLocal(WIDTH, chunk_bytes)
        self.after_NL = nn.Sequential(*_blocks(6), *_narrowing())

    def forward(self, features: Tensor, holes: Tensor) -> Tensor:
        """Maps features; `holes` is 1 where the photo is scratched and 0 elsewhere, at the photo's size. Raises ValueError: its shape."""
        mapped: Tensor = self.after_NL(self.NL(self.before_NL(features), holes))
        return mapped


class OldPhotoPatchMapping(nn.Module):
    """With scratches, for large photos: holes are filled patch by patch, at three patch sizes in turn.

    Args:
        chunk_bytes: memory for one chunk of the similarities of patches.
    """

    def __init__(self, chunk_bytes: int = CHUNK_BYTES) -> None:
        super().__init__()
        self.before_NL = nn.Sequential(*_widening(), *_blocks(2))
        self.NL_scale_1 = PatchAttention(WIDTH, 8, chunk_bytes)
        self.res_block_1 = nn.Sequential(*_blocks(2))
        self.NL_scale_2 = PatchAttention(WIDTH, 4, chunk_bytes)
        self.res_block_2 = nn.Sequential(*_blocks(2))
        self.NL_scale_3 = PatchAttention(WIDTH, 2, chunk_bytes)
        self.after_NL = nn.Sequential(*_blocks(2), *_narrowing())

    def forward(self, features: Tensor, holes: Tensor) -> Tensor:
        """Maps N,64,h,w features with N,1,H,W holes (1 where the photo is scratched, at the photo's size) to N,64,h,w features.

        Raises:
            ValueError: the mask's shape, or no patch of some size that is visible, so that there is nothing to fill from.
        """
        x = self.res_block_1(self.NL_scale_1(self.before_NL(features), holes))
        x = self.res_block_2(self.NL_scale_2(x, holes))
        mapped: Tensor = self.after_NL(self.NL_scale_3(x, holes))
        return mapped


class MaskedNonLocal(nn.Module):
    """Every position attends to all visible ones; the answer, refined, goes where the holes are."""

    def __init__(self, width: int, chunk_bytes: int = CHUNK_BYTES) -> None:
        super().__init__()
        self.chunk_bytes = chunk_bytes
        self.theta, self.phi, self.g, self.W = (nn.Conv2d(width, width, 1) for _ in range(4))
        self.res_block = nn.Sequential(*_blocks(3, width))

    def forward(self, x: Tensor, holes: Tensor) -> Tensor:
        """N,C,h,w and N,1,H,W holes -> N,C,h,w: x itself where it is visible."""
        visible = ~((_resized(holes, x, "bilinear") > 0) | (_resized(holes, x, "nearest") > 0))
        if bool(visible.all()):
            return x
        # Only holes take from `filled`, but it is needed everywhere: the blocks mix neighbours, their norms the whole map.
        filled = self.res_block(self.W(self.attended(x, visible)))
        return torch.where(visible, x, filled)

    def attended(self, x: Tensor, visible: Tensor) -> Tensor:
        """Softmax over all keys, those of holes then set to zero and the rest scaled to a sum of one.

        That is not the softmax over visible keys: where nearly all of a query's attention goes to holes, the rest is scaled by 1e12
        at most, so that little comes of it.

        Args:
            x: N,C,h,w.
            visible: N,1,h,w, false in holes.

        Returns:
            N,C,h,w.
        """
        tokens = x.flatten(2)
        keys = self.phi(x).flatten(2)
        shown = visible.flatten(2).to(x.dtype)
        values = self.g(x).flatten(2).mul_(shown)
        attended = torch.empty_like(tokens)
        count, positions = tokens.shape[0], tokens.shape[-1]
        chunk = max(1, self.chunk_bytes // (count * positions * x.element_size()))
        for start in range(0, positions, chunk):
            queries = self.theta(tokens[..., start : start + chunk, None])[..., 0]
            weights = queries.mT @ keys
            weights = weights.sub_(weights.amax(-1, keepdim=True)).exp_()
            # Both sums divide after the product, where they divide C values a query in place of all keys.
            total = weights.sum(-1, keepdim=True)
            mass = (weights @ shown.mT / total).clamp_min_(SMALLEST_MASS)
            attended[..., start : start + chunk] = values @ weights.mT / (total * mass).mT
        return attended.view_as(x)


class PatchAttention(nn.Module):
    """Replaces every patch that is mostly hole by the most similar visible one, and combines the result with what there was.

    Args:
        width: channels.
        patch: side of a patch, in positions of the features.
        chunk_bytes: memory for one chunk of similarities.
    """

    def __init__(self, width: int, patch: int, chunk_bytes: int = CHUNK_BYTES) -> None:
        super().__init__()
        self.patch = patch
        self.chunk_bytes = chunk_bytes
        self.res_block = nn.Sequential(*_blocks(1, width))
        self.F_Combine = nn.Conv2d(2 * width + 1, width, 3, padding=1)

    def forward(self, x: Tensor, holes: Tensor) -> Tensor:
        """N,C,h,w and N,1,H,W holes -> N,C,h,w. Raises ValueError: no patch is visible."""
        hollow = (_resized(holes, x, "bilinear") > 0).to(x.dtype)
        composed = torch.stack(
            [
                self.composed(map_, hole)
                for map_, hole in zip(self.res_block(x), hollow, strict=True)
            ]
        )
        combined: Tensor = self.F_Combine(torch.cat((x, composed, hollow), dim=1))
        return combined

    def composed(self, features: Tensor, hollow: Tensor) -> Tensor:
        """C,h,w features with their masked patches replaced.

        As in the official network, what remains at the right and at the bottom of sides that are no multiple of the patch becomes
        zero as soon as one patch is masked: it was never put together from patches. Photos of sides divisible by 32 have none.

        Args:
            features: C,h,w.
            hollow: 1,h,w, 1 in holes and 0 elsewhere.

        Raises:
            ValueError: every patch is masked, so that there is nothing to replace them by.
        """
        side = self.patch
        masked = F.avg_pool2d(hollow, side).flatten() > MASKED_SHARE
        if not bool(masked.any()):
            return features
        if bool(masked.all()):
            raise ValueError(
                f"every patch of {side} x {side} features is masked: no visible patch is left to fill from"
            )
        rows, columns = (length // side for length in features.shape[-2:])
        patches = F.pixel_unshuffle(features[:, : rows * side, : columns * side], side).flatten(
            1
        )  # a patch a column
        patches[:, masked] = patches[:, self.most_similar(patches, masked)]
        composed = torch.zeros_like(features)
        composed[:, : rows * side, : columns * side] = F.pixel_shuffle(
            patches.view(-1, rows, columns), side
        )
        return composed

    def most_similar(self, patches: Tensor, masked: Tensor) -> Tensor:
        """For each masked patch the number of the visible one at the smallest angle; the first of equals.

        Args:
            patches: D,P, a patch a column.
            masked: P, true for the patches to replace.
        """
        # A query's own norm scales all of its similarities alike, so only the keys' norms count.
        scale = patches.norm(dim=0).clamp_min_(SMALLEST_MASS).reciprocal_()
        queries = masked.nonzero().flatten()
        chunk = max(1, self.chunk_bytes // (sum(patches.shape) * patches.element_size()))
        best = []
        for some in torch.split(queries, chunk):
            similarity = (
                (patches[:, some].mT @ patches).mul_(scale).masked_fill_(masked, -torch.inf)
            )
            best.append(similarity.argmax(dim=1))
        return torch.cat(best)


def _resized(holes: Tensor, features: Tensor, mode: str) -> Tensor:
    """A photo's N,1,H,W mask at the size of its N,C,h,w features; never antialiased, as the official code does it."""
    if holes.dim() != 4 or holes.shape[:2] != (features.shape[0], 1):
        raise ValueError(
            f"a mask is one plane for each photo, {features.shape[0]},1,H,W, not {tuple(holes.shape)}"
        )
    return F.interpolate(holes.to(features.dtype), features.shape[-2:], mode=mode)


def _widening() -> list[nn.Module]:
    """64 -> 128 -> 256 -> 512 -> 512 channels."""
    pairs = [*pairwise(WIDTHS), (WIDTH, WIDTH)]
    return [
        layer
        for before, after in pairs
        for layer in normalised(nn.Conv2d(before, after, 3, padding=1), after)
    ]


def _narrowing() -> list[nn.Module]:
    """512 -> 512 -> 256 -> 128 -> 64 channels, the last without norm."""
    pairs = [(WIDTH, WIDTH), *pairwise(WIDTHS[:0:-1])]
    layers = [
        layer
        for before, after in pairs
        for layer in normalised(nn.Conv2d(before, after, 3, padding=1), after)
    ]
    return [*layers, nn.Conv2d(WIDTHS[1], WIDTHS[0], 3, padding=1)]


def _blocks(count: int, width: int = WIDTH) -> list[nn.Module]:
    return [ResidualBlock(width) for _ in range(count)]
