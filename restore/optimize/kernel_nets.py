"""RRDB (Real-ESRGAN) and NAFNet on Triton kernels: pixels lie N,H,W,C throughout, and nothing is compiled by torch."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.optimize.kernels import (
    add_norm,
    available,
    depthwise_gate,
    gate,
    plain_add_norm,
    plain_depthwise_gate,
    spread_conv,
    taps_first,
    tuned,
)

GROWTH = 32
SLOPE = 0.2
RESIDUAL = 0.2  # of what a block adds
LAST_OUTPUTS = 16  # of the last convolution, for a tensor core's sake; three are kept


class PixelConv(nn.Module):
    """A 3x3 convolution of pixels by `spread_conv`."""

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        missing = -conv.out_channels % LAST_OUTPUTS
        assert conv.bias is not None, "these have one"
        self.weight = nn.Buffer(taps_first(F.pad(conv.weight.detach(), (0, 0, 0, 0, 0, 0, 0, missing))).to(dtype))
        self.bias = nn.Buffer(F.pad(conv.bias.detach().float(), (0, missing)))
        self.kept = conv.out_channels

    def forward(self, x: Tensor, *, dtype: torch.dtype | None = None, **options: Any) -> Tensor:  # noqa: ANN401 - spread_conv's
        factor = 2 if options.get("enlarges") else 1
        batch, height, width, _ = x.shape
        out = x.new_empty(batch, factor * height, factor * width, self.kept, dtype=dtype or x.dtype)
        return spread_conv(x, self.weight, out, bias=self.bias, **options)


class PixelDenseBlock(nn.Module):
    """A dense block as five kernels, without concatenation.

    The input is convolved once for all layers that read it, then the first two maps for the last three layers, then the last two for
    the fifth. What a layer has got so far is kept in running sums.

    Args:
        block: the library's, in float32.
        dtype: of filters and maps.
    """

    def __init__(self, block: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        convs = [getattr(block, f"conv{number}")[0] for number in range(1, 6)]
        filters = [conv.weight.detach() for conv in convs]
        filters[-1] = filters[-1] * RESIDUAL
        biases = [conv.bias.detach().float() for conv in convs]
        biases[-1] = biases[-1] * RESIDUAL
        self.bias = nn.Buffer(torch.cat(biases))
        width = filters[0].shape[1]

        def reading(start: int, maps: int, layers: slice) -> Tensor:
            places = slice(start, start + maps)
            return taps_first(torch.cat([each[:, places] for each in filters[layers]])).to(dtype)

        pairs = ((0, width, slice(0, 5)), (width, GROWTH, slice(1, 2)), (width, 2 * GROWTH, slice(2, 5)))
        late = ((width + 2 * GROWTH, GROWTH, slice(3, 4)), (width + 2 * GROWTH, 2 * GROWTH, slice(4, 5)))
        self.weights = nn.ParameterList(reading(*each) for each in (*pairs, *late))

    def forward(self, x: Tensor, early: Tensor, late: Tensor, sums: Tensor, base: Tensor | None) -> Tensor:
        """The block's answer; with `base`, a fifth of it beside that.

        Args:
            x: N,H,W,64.
            early: N,H,W,64 to write the first two maps to.
            late: the same for the other two.
            sums: N,H,W,160 to write to.
            base: what the three blocks around it began with, for the last of them.
        """
        w = self.weights
        spread_conv(x, w[0], early[..., :GROWTH], bias=self.bias, sums=sums, sums_from=-GROWTH, slope=SLOPE)
        spread_conv(early[..., :GROWTH], w[1], early[..., GROWTH:], sums=sums, reads=True, slope=SLOPE)
        spread_conv(early, w[2], late[..., :GROWTH], sums=sums, sums_from=GROWTH, reads=True, slope=SLOPE)
        spread_conv(late[..., :GROWTH], w[3], late[..., GROWTH:], sums=sums, sums_from=2 * GROWTH, reads=True, slope=SLOPE)
        options: dict[str, Any] = {"skip": x, "base": base, "scale": 1.0 if base is None else RESIDUAL}
        return spread_conv(late, w[4], torch.empty_like(x), sums=sums, sums_from=3 * GROWTH, reads=True, **options)


class PixelRrdbNet(nn.Module):
    """Real-ESRGAN's RRDB network: N,3,H,W in [0, 1] -> N,3,sH,sW, float32.

    Args:
        net: a copy of the library's, in float32.
        dtype: float16 or bfloat16.
    """

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.dtype, self.shuffle = dtype, net.shuffle_factor or 1
        layers = list(net.model)
        self.first = layers[0].to(dtype)
        *blocks, trunk = layers[1].sub
        parts = [nn.ModuleList(PixelDenseBlock(each, dtype) for each in (b.RDB1, b.RDB2, b.RDB3)) for b in blocks]
        self.blocks, self.trunk = nn.ModuleList(parts), PixelConv(trunk, dtype)
        self.doublings = sum(isinstance(layer, nn.Upsample) for layer in layers)
        self.last = nn.ModuleList(PixelConv(layer, dtype) for layer in layers[2:] if isinstance(layer, nn.Conv2d))

    def tune(self, photos: Tensor) -> None:
        """Tries the kernels' ways on photos of a size; those of a device that computes nothing else."""
        with torch.inference_mode(), tuned():
            self(photos)

    def forward(self, photos: Tensor) -> Tensor:
        height, width = photos.shape[-2:]
        seen = photos
        if self.shuffle > 1:
            seen = F.pixel_unshuffle(F.pad(photos, (0, -width % self.shuffle, 0, -height % self.shuffle), mode="reflect"), self.shuffle)
        first = self.first(seen.to(self.dtype)).permute(0, 2, 3, 1).contiguous()
        early, late = (first.new_empty(*first.shape[:3], 2 * GROWTH) for _ in range(2))
        sums = first.new_empty(*first.shape[:3], first.shape[3] + 3 * GROWTH)
        x = first
        for group in self.blocks:
            start, (one, two, three) = x, cast(Any, group)
            x = three(two(one(x, early, late, sums, None), early, late, sums, None), early, late, sums, start)
        x = self.trunk(x, skip=first)
        for index, conv in enumerate(self.last):
            is_last = index == len(self.last) - 1
            x = conv(x, dtype=torch.float32) if is_last else conv(x, slope=SLOPE, enlarges=index < self.doublings)
        scale = 2**self.doublings // self.shuffle
        answer: Tensor = x.permute(0, 3, 1, 2)
        return answer[..., : height * scale, : width * scale]


class PixelNafBlock(nn.Module):
    """NAFNet's block on pixels: 1x1 convolutions are matrix products, its channel attention is part of the third one's filters."""

    weight1: Tensor
    weight3: Tensor
    weight4: Tensor
    weight5: Tensor
    bias1: Tensor
    bias3: Tensor
    bias4: Tensor
    bias5: Tensor

    def __init__(self, block: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.norms = nn.ModuleList((block.norm1, block.norm2))
        self.norms.float()
        beta, gamma = block.beta.detach().flatten(), block.gamma.detach().flatten()
        for name, conv, factors in (
            ("1", block.conv1, None),
            ("3", block.conv3, beta),
            ("4", block.conv4, None),
            ("5", block.conv5, gamma),
        ):
            weight, bias = conv.weight.detach()[:, :, 0, 0], conv.bias.detach()
            if factors is not None:
                weight, bias = weight * factors[:, None], bias * factors
            setattr(self, f"weight{name}", nn.Buffer(weight.to(dtype)))
            setattr(self, f"bias{name}", nn.Buffer(bias.to(dtype)))
        self.filters = nn.Buffer(block.conv2.weight.detach()[:, 0].permute(1, 2, 0).contiguous().to(dtype))
        self.shift = nn.Buffer(block.conv2.bias.detach().to(dtype))
        self.pool, self.attention = block.sca[0], block.sca[1].float()

    def forward(self, x: Tensor, added: Tensor | None) -> tuple[Tensor, Tensor]:
        """Takes and gives features as a sum of two, which the next norm takes."""
        fast = available(x)
        norm, product = (add_norm, depthwise_gate) if fast else (plain_add_norm, plain_depthwise_gate)
        one, two = (cast(Any, each) for each in self.norms)
        x, normed = norm(x, added, one.weight, one.bias, one.eps)
        inner, mean = product(F.linear(normed, self.weight1, self.bias1), self.filters, self.shift)
        if isinstance(self.pool, nn.AdaptiveAvgPool2d):
            factors = self.attention(mean[:, :, None, None])
        else:
            factors = self.attention(self.pool(inner.permute(0, 3, 1, 2)).float())
        if factors.shape[-2:] == (1, 1) and len(x) == 1:
            change = F.linear(inner, (self.weight3.float() * factors[:, :, 0, 0]).to(inner.dtype), self.bias3)
        else:
            change = F.linear(inner * factors.permute(0, 2, 3, 1).to(inner.dtype), self.weight3, self.bias3)
        y, normed = norm(x, change, two.weight, two.bias, two.eps)
        wide = F.linear(normed, self.weight4, self.bias4)
        half = wide.shape[-1] // 2
        return y, F.linear(gate(wide) if fast else wide[..., :half] * wide[..., half:], self.weight5, self.bias5)


class PixelNafNet(nn.Module):
    """NAFNet: float32 photos to float32 photos.

    Args:
        net: a copy of the library's, in float32, with or without local pooling.
        dtype: of the features.
    """

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.dtype, self.multiple = dtype, int(net.padder_size)

        def stage(blocks: Any) -> nn.ModuleList:  # noqa: ANN401 - the library has no types
            return nn.ModuleList(PixelNafBlock(block, dtype) for block in blocks)

        self.encoders = nn.ModuleList(stage(blocks) for blocks in net.encoders)
        self.decoders = nn.ModuleList(stage(blocks) for blocks in net.decoders)
        self.middle = stage(net.middle_blks)
        self.intro, self.ending, self.downs = net.intro.to(dtype), net.ending.to(dtype), net.downs.to(dtype)
        ups = (up[0].weight.detach()[:, :, 0, 0].unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1) for up in net.ups)
        self.ups = nn.ParameterList(weight.contiguous().to(dtype) for weight in ups)

    def forward(self, photos: Tensor) -> Tensor:
        height, width = photos.shape[-2:]
        padded = F.pad(photos, (0, -width % self.multiple, 0, -height % self.multiple))
        x, skips = _pixels(self.intro(padded.to(self.dtype))), []
        for blocks, down in zip(self.encoders, self.downs, strict=True):
            x = _through(blocks, x)
            skips.append(x)
            x = _pixels(down(x.permute(0, 3, 1, 2)))
        x = _through(self.middle, x)
        for blocks, up, skip in zip(self.decoders, self.ups, skips[::-1], strict=True):
            batch, down_height, down_width, _ = x.shape
            finer = F.linear(x, up).view(batch, down_height, down_width, 2, 2, -1).permute(0, 1, 3, 2, 4, 5)
            x = _through(blocks, (skip.view(finer.shape) + finer).view(skip.shape))
        answer: Tensor = self.ending(x.permute(0, 3, 1, 2)).float() + padded
        return answer[..., :height, :width]


def _pixels(features: Tensor) -> Tensor:
    return features.permute(0, 2, 3, 1).contiguous()


def _through(blocks: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - a list of blocks
    added: Tensor | None = None
    for block in blocks:
        x, added = block(x, added)
    return x if added is None else x + added
