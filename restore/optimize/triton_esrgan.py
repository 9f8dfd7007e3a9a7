"""Real-ESRGAN's RRDB network on the Triton kernel of `triton_conv`; features are NHWC.

This module needs Triton and runs on CUDA only. Not used by requests yet.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.low_precision.esrgan import RESIDUAL_SCALE
from restore.optimize.triton_conv import autotuning, flatten_filters, partial_sum_conv

GROWTH = 32  # channels of each map in a dense block
LEAKY_SLOPE = 0.2
OUTPUT_MULTIPLE = 16  # smallest number of outputs for tensor cores


class TritonConv(nn.Module):
    """A 3x3 convolution by `partial_sum_conv`; outputs are padded to a multiple of 16.

    Args:
        conv: the library's convolution.
        dtype: precision of the filters.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        padding = -conv.out_channels % OUTPUT_MULTIPLE
        assert conv.bias is not None, "the convolutions of RRDB networks have a bias"
        filters = F.pad(conv.weight.detach(), (0, 0, 0, 0, 0, 0, 0, padding))
        self.weight = nn.Buffer(flatten_filters(filters).to(dtype))
        self.bias = nn.Buffer(F.pad(conv.bias.detach().float(), (0, padding)))
        self.out_channels = conv.out_channels

    def forward(
        self,
        x: Tensor,
        *,
        dtype: torch.dtype | None = None,
        **options: Any,  # noqa: ANN401 - those of partial_sum_conv
    ) -> Tensor:
        factor = 2 if options.get("upsample") else 1
        batch, height, width, _ = x.shape
        shape = (batch, factor * height, factor * width, self.out_channels)
        out = x.new_empty(shape, dtype=dtype or x.dtype)
        return partial_sum_conv(x, self.weight, out, bias=self.bias, **options)


class TritonDenseBlock(nn.Module):
    """A dense block as five kernels, without concatenation.

    The input is convolved once for all five layers, the first two maps once for the last three
    layers, and the last two maps once for the fifth layer. Running sums hold the rest.

    Args:
        block: the library's block, float32.
        dtype: precision of filters and features.
    """

    def __init__(self, block: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        convs = [getattr(block, f"conv{number}")[0] for number in range(1, 6)]
        filters = [conv.weight.detach() for conv in convs]
        biases = [conv.bias.detach().float() for conv in convs]
        filters[-1] = filters[-1] * RESIDUAL_SCALE
        biases[-1] = biases[-1] * RESIDUAL_SCALE
        self.bias = nn.Buffer(torch.cat(biases))
        width = filters[0].shape[1]

        def joint_filters(start: int, channels: int, layers: slice) -> Tensor:
            columns = slice(start, start + channels)
            joined = torch.cat([each[:, columns] for each in filters[layers]])
            return flatten_filters(joined).to(dtype)

        self.weights = nn.ParameterList(
            [
                joint_filters(0, width, slice(0, 5)),
                joint_filters(width, GROWTH, slice(1, 2)),
                joint_filters(width, 2 * GROWTH, slice(2, 5)),
                joint_filters(width + 2 * GROWTH, GROWTH, slice(3, 4)),
                joint_filters(width + 2 * GROWTH, 2 * GROWTH, slice(4, 5)),
            ]
        )

    def forward(
        self, x: Tensor, early: Tensor, late: Tensor, sums: Tensor, base: Tensor | None
    ) -> Tensor:
        """Compute the block; with `base`, return base + 0.2 * output.

        Args:
            x: NxHxWx64.
            early: NxHxWx64 buffer for the first and second map.
            late: NxHxWx64 buffer for the third and fourth map.
            sums: NxHxWx160 buffer for running sums.
            base: input of the three blocks, for the last of them.
        """
        w = self.weights
        shared: dict[str, Any] = {"sums": sums, "leaky_slope": LEAKY_SLOPE}
        added: dict[str, Any] = {**shared, "add_sums": True}
        first, second = early[..., :GROWTH], early[..., GROWTH:]
        third, fourth = late[..., :GROWTH], late[..., GROWTH:]
        partial_sum_conv(x, w[0], first, bias=self.bias, sums_offset=-GROWTH, **shared)
        partial_sum_conv(first, w[1], second, **added)
        partial_sum_conv(early, w[2], third, sums_offset=GROWTH, **added)
        partial_sum_conv(third, w[3], fourth, sums_offset=2 * GROWTH, **added)
        return partial_sum_conv(
            late,
            w[4],
            torch.empty_like(x),
            sums=sums,
            sums_offset=3 * GROWTH,
            add_sums=True,
            skip=x,
            base=base,
            scale=1.0 if base is None else RESIDUAL_SCALE,
        )


class TritonEsrgan(nn.Module):
    """Real-ESRGAN's RRDB network: Nx3xHxW in [0, 1] to Nx3x(sH)x(sW), float32.

    Args:
        net: a copy of the library's network, float32; its modules are converted in place.
        dtype: float16 or bfloat16.
    """

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.dtype, self.shuffle = dtype, net.shuffle_factor or 1
        layers = list(net.model)
        self.first = layers[0].to(dtype)
        *blocks, trunk = layers[1].sub
        self.blocks = nn.ModuleList(
            nn.ModuleList(TritonDenseBlock(each, dtype) for each in (b.RDB1, b.RDB2, b.RDB3))
            for b in blocks
        )
        self.trunk = TritonConv(trunk, dtype)
        self.doublings = sum(isinstance(layer, nn.Upsample) for layer in layers)
        self.last = nn.ModuleList(
            TritonConv(layer, dtype) for layer in layers[2:] if isinstance(layer, nn.Conv2d)
        )

    def autotune(self, photos: Tensor) -> None:
        """Measure the configurations of the kernels for this input size, on an idle device."""
        with torch.inference_mode(), autotuning():
            self(photos)

    def forward(self, photos: Tensor) -> Tensor:
        height, width = photos.shape[-2:]
        x = first = (
            self.first(self._unshuffle(photos).to(self.dtype)).permute(0, 2, 3, 1).contiguous()
        )
        early, late = (x.new_empty(*x.shape[:3], 2 * GROWTH) for _ in range(2))
        sums = x.new_empty(*x.shape[:3], x.shape[3] + 3 * GROWTH)
        for group in self.blocks:
            base, (block1, block2, block3) = x, cast(Any, group)
            x = block1(x, early, late, sums, None)
            x = block2(x, early, late, sums, None)
            x = block3(x, early, late, sums, base)
        x = self.trunk(x, skip=first)
        for index, conv in enumerate(self.last[:-1]):
            x = conv(x, leaky_slope=LEAKY_SLOPE, upsample=index < self.doublings)
        image: Tensor = self.last[-1](x, dtype=torch.float32).permute(0, 3, 1, 2)
        scale = 2**self.doublings // self.shuffle
        return image[..., : height * scale, : width * scale]

    def _unshuffle(self, photos: Tensor) -> Tensor:
        """Move pixels to channels, as networks for scales 1 and 2 expect."""
        if self.shuffle == 1:
            return photos
        height, width = photos.shape[-2:]
        padding = (0, -width % self.shuffle, 0, -height % self.shuffle)
        return F.pixel_unshuffle(F.pad(photos, padding, mode="reflect"), self.shuffle)
