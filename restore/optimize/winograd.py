"""3x3 convolutions with Winograd's minimal filtering F(4x4, 3x3) (Lavin & Gray, CVPR 2016).

They need a quarter of the multiplications. oneDNN, which torch uses on a CPU, has no such kernel
for float32. With many channels, the multiplications dominate and torch's matrix products are the
fastest; with few channels, the transforms dominate, and those of `winograd_kernels` stay in the
cache of a core. Measured on two cores: 1.2 to 2.4 times as fast as channels last. Outputs differ by
about 1e-5 of the largest value, because sums are rounded in another order.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

OUTPUT_TILE_PX = 4
"""Side of the output tile of one transform."""
TILE_PX = OUTPUT_TILE_PX + 2
"""Side of the input tile of one transform."""
MIN_CHANNELS = 32
MIN_WEIGHTS_FOR_TORCH = 128 * 256
"""Input times output channels from which torch's matrix products are faster than the kernels."""
MIN_PRODUCTS = 40_000_000
"""Multiplications of the direct convolution of a feature map below which it is faster."""
MIN_PRODUCTS_FEW_CHANNELS = 250_000_000
"""MIN_PRODUCTS for convolutions with fewer than FEW_CHANNELS channels."""
FEW_CHANNELS = 64
MIN_BAND_BYTES = 1 << 20
"""Transformed tiles at a time: about the size of a core's L2 cache."""

# The matrices of the paper for F(4, 3): input, filter and output transform.
_INPUT_TRANSFORM = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_FILTER_TRANSFORM = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT_TRANSFORM = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)


class WinogradConv2d(nn.Module):
    """A float32 3x3 convolution with stride 1 and padding 0 or 1 on a CPU.

    Its weights take four times the memory.

    Args:
        conv: a convolution for which `is_supported`. Its bias is shared; with few channels the
            whole convolution is, because small feature maps use it.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        weights = conv.weight.detach().double().permute(2, 3, 1, 0).reshape(9, -1)
        transformed = (_for_tiles(_FILTER_TRANSFORM) @ weights).view(
            TILE_PX * TILE_PX, conv.in_channels, conv.out_channels
        )
        self.filters = nn.Buffer(transformed.float().contiguous())
        if not self.has_many_channels:
            from restore.optimize.matrix_products import pack  # noqa: PLC0415 - slow import

            self.filters = nn.Buffer(pack(self.filters))
        self.input_transform = nn.Buffer(_for_tiles(_INPUT_TRANSFORM).float())
        self.output_transform = nn.Buffer(_for_tiles(_OUTPUT_TRANSFORM).float())
        self.padding = int(conv.padding[0])
        self.padding_mode = "reflect" if conv.padding_mode == "reflect" else "constant"
        # Not both: the bias would be in the state dict twice.
        self.direct = None if self.has_many_channels else conv
        self.bias = conv.bias if self.has_many_channels else None
        has_few = min(conv.in_channels, conv.out_channels) < FEW_CHANNELS
        min_products = MIN_PRODUCTS_FEW_CHANNELS if has_few else MIN_PRODUCTS
        self.min_pixels = min_products // (9 * conv.in_channels * conv.out_channels)

    @property
    def has_many_channels(self) -> bool:
        """Whether torch's matrix products are used; they need a padded copy of the features."""
        return self.filters[0].numel() >= MIN_WEIGHTS_FOR_TORCH

    def forward(self, features: Tensor) -> Tensor:
        """Convolve NxCxHxW float32 features; the output has the channels-last memory layout."""
        if self.direct is None:
            return self._convolve_with_torch(features)
        if features[:, 0].numel() < self.min_pixels:
            output: Tensor = self.direct(features)
            return output
        return self._convolve_with_kernels(features, self.direct.bias)

    def _convolve_with_torch(self, features: Tensor) -> Tensor:
        """Convolve with torch's matrix products, which are the fastest with many channels."""
        border = self.padding
        if self.padding_mode == "reflect" and border:
            features, border = F.pad(features, (1, 1, 1, 1), "reflect"), 0
        count = features.shape[0]
        height, width = (side + 2 * border - 2 for side in features.shape[2:])
        rows, columns = -(-height // OUTPUT_TILE_PX), -(-width // OUTPUT_TILE_PX)  # of tiles
        # One copy adds the padding and fills the last tiles.
        padded = _pad(features, border, OUTPUT_TILE_PX * rows + 2, OUTPUT_TILE_PX * columns + 2)
        channels, out_channels = self.filters.shape[1:]
        result = features.new_empty(
            (count, OUTPUT_TILE_PX * rows, OUTPUT_TILE_PX * columns, out_channels)
        )
        # Bands as large as the weights, because these are read again for every band.
        band_bytes = max(MIN_BAND_BYTES, 4 * self.filters.numel())
        row_bytes = 4 * TILE_PX * TILE_PX * columns * max(channels, out_channels)
        band_rows = max(1, band_bytes // row_bytes)
        for image, target in zip(padded, result, strict=True):
            for first in range(0, rows, band_rows):
                last = min(first + band_rows, rows)
                band = target[OUTPUT_TILE_PX * first : OUTPUT_TILE_PX * last]
                self._convolve_band(band, image, first, last - first, columns)
        return result[:, :height, :width].permute(0, 3, 1, 2)

    def _convolve_band(
        self, result: Tensor, image: Tensor, first: int, rows: int, columns: int
    ) -> None:
        """Convolve some rows of tiles.

        Args:
            result: (4 rows)x(4 columns)xO, which is written.
            image: CxHxW, padded.
            first: index of the first row of tiles in the image.
            rows: number of rows of tiles.
            columns: number of tiles in a row.
        """
        channels, out_channels = self.filters.shape[1:]
        channel_stride, row_stride, column_stride = image.stride()
        tiles = image.as_strided(
            (TILE_PX, TILE_PX, rows, columns, channels),
            (
                row_stride,
                column_stride,
                OUTPUT_TILE_PX * row_stride,
                OUTPUT_TILE_PX * column_stride,
                channel_stride,
            ),
            image.storage_offset() + OUTPUT_TILE_PX * first * row_stride,
        )
        inputs = torch.mm(self.input_transform, tiles.reshape(TILE_PX * TILE_PX, -1))
        inputs = inputs.view(TILE_PX * TILE_PX, rows * columns, channels)
        products = torch.bmm(inputs, self.filters).view(TILE_PX * TILE_PX, -1)
        outputs = (
            torch.mm(self.output_transform, products)
            .view(OUTPUT_TILE_PX, OUTPUT_TILE_PX, rows, columns, out_channels)
            .permute(2, 0, 3, 1, 4)
        )
        target = result.view(rows, OUTPUT_TILE_PX, columns, OUTPUT_TILE_PX, out_channels)
        if self.bias is None:
            target.copy_(outputs)
        else:
            torch.add(outputs, self.bias, out=target)

    def _convolve_with_kernels(self, features: Tensor, conv_bias: Tensor | None) -> Tensor:
        """Convolve with the kernels, which are the fastest with few channels."""
        from restore.optimize.winograd_kernels import convolve_image  # noqa: PLC0415 - slow import

        images = features.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).numpy()
        count, height, width, _ = images.shape
        growth, out_channels = 2 * self.padding - 2, self.filters.shape[2]
        result = np.empty((count, height + growth, width + growth, out_channels), np.float32)
        reflects = self.padding == 1 and self.padding_mode == "reflect"
        bias = (
            np.zeros(out_channels, np.float32) if conv_bias is None else conv_bias.detach().numpy()
        )
        for image, target in zip(images, result, strict=True):
            convolve_image(
                image,
                self.filters.numpy(),
                bias,
                target,
                self.padding,
                reflects=reflects,
                threads=torch.get_num_threads(),
            )
        return torch.from_numpy(result).permute(0, 3, 1, 2)


def _for_tiles(rows: tuple[tuple[float, ...], ...]) -> Tensor:
    """Return the matrix that applies a transform to both axes of a flattened tile."""
    matrix = torch.tensor(rows, dtype=torch.float64)
    return torch.kron(matrix, matrix)


def _pad(features: Tensor, border: int, height: int, width: int) -> Tensor:
    """Copy features into a height x width frame of zeros, channels last; write each value once."""
    count, channels, inner_height, inner_width = features.shape
    bottom, right = border + inner_height, border + inner_width
    frame = torch.empty(
        (count, channels, height, width),
        dtype=features.dtype,
        memory_format=torch.channels_last,
        device=features.device,
    )
    frame[:, :, :border].zero_()
    frame[:, :, bottom:].zero_()
    frame[:, :, border:bottom, :border].zero_()
    frame[:, :, border:bottom, right:].zero_()
    frame[:, :, border:bottom, border:right] = features
    return frame


def is_supported(module: nn.Module) -> bool:
    """Return whether a module is a plain 3x3 convolution that Winograd's algorithm speeds up."""
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == (3, 3)
        and module.stride == module.dilation == (1, 1)
        and module.padding in {(0, 0), (1, 1)}
        and module.groups == 1
        and module.padding_mode in {"zeros", "reflect"}
        and module.weight.dtype == torch.float32
        and min(module.in_channels, module.out_channels) >= MIN_CHANNELS
        and not module._forward_pre_hooks  # spectral norm changes the weights in every call
        and not module._forward_hooks
    )


@cache
def unavailable_reason() -> str:
    """Compile and test the kernels; return why they cannot be used on this machine, or ""."""
    try:
        from restore.optimize.winograd_kernels import warm_up  # noqa: PLC0415 - slow import

        return "" if warm_up() else "the kernels compute wrong results"
    except Exception as error:  # noqa: BLE001 - any error: torch's convolutions are used
        reason = (str(error).strip() or "no reason given").splitlines()[0][:160]
        return f"{type(error).__name__}: {reason}"


def use_winograd(net: nn.Module) -> nn.Module:
    """Replace all supported convolutions in place and return `net`.

    A convolution that several modules share is replaced by one that they share.
    """
    replacements: dict[nn.Module, nn.Module] = {}
    for parent in list(net.modules()):
        # named_children() would skip the second name of a shared module.
        for name, child in list(parent._modules.items()):
            if child is not None and is_supported(child):
                assert isinstance(child, nn.Conv2d), "is_supported checks the type"
                if child not in replacements:
                    replacements[child] = WinogradConv2d(child)
                setattr(parent, name, replacements[child])
    return net
