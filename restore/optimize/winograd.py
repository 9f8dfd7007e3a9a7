"""3x3 convolutions by Winograd's minimal filtering, F(4x4, 3x3) (Lavin & Gray, CVPR 2016): a quarter of the products.

oneDNN, which torch uses on a CPU, has no such kernel in float32. With many channels the products are the cost, and torch's are the
fastest; with few the transforms are, and those of `winograd_kernels` stay in a core's cache. 1.2 to 2.4 times over channels last on two
cores, measured. Sums are rounded in another order: about 1e-5 of the largest output away from the direct way.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

OUT = 4  # samples of a tile's side that one transform gives
TILE = OUT + 2
LEAST_CHANNELS = 32
MANY_FILTERS = (
    128 * 256
)  # channels in times channels out, from which on torch's own products are the faster ones
LEAST_PRODUCTS = 40_000_000  # of the direct way over a map: with fewer, that is the faster one
LEAST_PRODUCTS_OF_FEW = 250_000_000  # the same with fewer than 64 channels
LEAST_BAND_BYTES = 1 << 20  # of transformed tiles at a time: about what a core's second cache holds

# The paper's matrices for F(4, 3): of the samples, of the filter, of the products.
_SAMPLES = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_FILTER = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_PRODUCTS = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))


def _both_axes(rows: tuple[tuple[float, ...], ...]) -> Tensor:
    """The matrix that transforms a flattened tile along both of its axes."""
    matrix = torch.tensor(rows, dtype=torch.float64)
    return torch.kron(matrix, matrix)


class WinogradConv2d(nn.Module):
    """Does what a `Conv2d` of 3x3, stride 1 and padding 0 or 1 does, in float32 on a CPU; its filters take four times the memory."""

    def __init__(self, conv: nn.Conv2d) -> None:
        """Args: a convolution for which `is_suited`; its bias is shared, and where it has few channels its filters, for small maps."""
        super().__init__()
        filters = conv.weight.detach().double().permute(2, 3, 1, 0).reshape(9, -1)
        transformed = (_both_axes(_FILTER) @ filters).view(
            TILE * TILE, conv.in_channels, conv.out_channels
        )
        self.filters = nn.Buffer(transformed.float().contiguous())
        self.of_samples = nn.Buffer(_both_axes(_SAMPLES).float())
        self.of_products = nn.Buffer(_both_axes(_PRODUCTS).float())
        self.padding = int(conv.padding[0])
        self.padding_mode = "reflect" if conv.padding_mode == "reflect" else "constant"
        # Not both: whoever sets a network's tensors from outside would find the bias under two names.
        self.direct = None if self.has_many_channels else conv
        self.bias = conv.bias if self.has_many_channels else None
        least = (
            LEAST_PRODUCTS
            if min(conv.in_channels, conv.out_channels) >= 64
            else LEAST_PRODUCTS_OF_FEW
        )
        self.least_px = least // (9 * conv.in_channels * conv.out_channels)

    @property
    def has_many_channels(self) -> bool:
        """Whether torch's own products are the faster ones; that way needs a padded copy of the features."""
        return self.filters[0].numel() >= MANY_FILTERS

    def forward(self, features: Tensor) -> Tensor:
        """NxCxHxW float32 of any layout -> NxOxHxW (without padding two less), channels last."""
        if self.direct is not None:
            is_small = features[:, 0].numel() < self.least_px
            answer: Tensor = (
                self.direct(features) if is_small else self._in_caches(features, self.direct.bias)
            )
            return answer
        border = self.padding
        if self.padding_mode == "reflect" and border:
            features, border = F.pad(features, (1, 1, 1, 1), "reflect"), 0
        count, height, width = (
            features.shape[0],
            features.shape[2] + 2 * border - 2,
            features.shape[3] + 2 * border - 2,
        )
        across, down = -(-width // OUT), -(-height // OUT)  # tiles
        # In one copy the border, and what only fills up the last tiles.
        padded = _placed(features, border, OUT * down + 2, OUT * across + 2)
        channels, out_channels = self.filters.shape[1:]
        result = features.new_empty((count, OUT * down, OUT * across, out_channels))
        # As many tiles as the filters take memory: these are read again for every band.
        band_bytes = max(LEAST_BAND_BYTES, 4 * self.filters.numel())
        band = max(1, band_bytes // (4 * TILE * TILE * across * max(channels, out_channels)))
        for photo, filled in zip(padded, result, strict=True):
            for first in range(0, down, band):
                rows = min(band, down - first)
                self._fill(filled[OUT * first : OUT * (first + rows)], photo, first, rows, across)
        return result[:, :height, :width].permute(0, 3, 1, 2)

    def _in_caches(self, features: Tensor, of_conv: Tensor | None) -> Tensor:
        """The way for few channels."""
        from restore.optimize.winograd_kernels import convolve_photo  # noqa: PLC0415 - Numba's import costs half a second

        photos = features.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).numpy()
        count, height, width, _ = photos.shape
        beside = 2 * self.padding - 2
        result = np.empty(
            (count, height + beside, width + beside, self.filters.shape[2]), np.float32
        )
        mirrored = self.padding == 1 and self.padding_mode == "reflect"
        bias = (
            np.zeros(self.filters.shape[2], np.float32)
            if of_conv is None
            else of_conv.detach().numpy()
        )
        for photo, filled in zip(photos, result, strict=True):
            convolve_photo(
                photo,
                self.filters.numpy(),
                bias,
                filled,
                self.padding,
                mirrored=mirrored,
                threads=torch.get_num_threads(),
            )
        return torch.from_numpy(result).permute(0, 3, 1, 2)

    def _fill(self, result: Tensor, photo: Tensor, first: int, rows: int, across: int) -> None:
        """Some rows of tiles of one padded photo (CxHxW), into (4 rows)x(4 across)xO."""
        channels, out_channels = self.filters.shape[1:]
        of_channel, of_row, of_column = photo.stride()
        tiles = photo.as_strided(
            (TILE, TILE, rows, across, channels),
            (of_row, of_column, OUT * of_row, OUT * of_column, of_channel),
            photo.storage_offset() + OUT * first * of_row,
        )
        samples = torch.mm(self.of_samples, tiles.reshape(TILE * TILE, -1)).view(
            TILE * TILE, rows * across, channels
        )
        products = torch.bmm(samples, self.filters).view(TILE * TILE, -1)
        finished = (
            torch.mm(self.of_products, products)
            .view(OUT, OUT, rows, across, out_channels)
            .permute(2, 0, 3, 1, 4)
        )
        place = result.view(rows, OUT, across, OUT, out_channels)
        if self.bias is None:
            place.copy_(finished)
        else:
            torch.add(finished, self.bias, out=place)


def _placed(features: Tensor, border: int, height: int, width: int) -> Tensor:
    """Features in a larger frame of zeros, channels last; each sample is written once."""
    count, channels, own_height, own_width = features.shape
    bottom, right = border + own_height, border + own_width
    frame = torch.empty(
        (count, channels, height, width),
        dtype=features.dtype,
        memory_format=torch.channels_last,
        device=features.device,
    )
    for edge in (
        frame[:, :, :border],
        frame[:, :, bottom:],
        frame[:, :, border:bottom, :border],
        frame[:, :, border:bottom, right:],
    ):
        edge.zero_()
    frame[:, :, border:bottom, border:right] = features
    return frame


def is_suited(module: nn.Module) -> bool:
    """Whether a module is a plain 3x3 convolution with so many channels that Winograd's way is the faster one."""
    return (
        type(module) is nn.Conv2d
        and module.kernel_size == (3, 3)
        and module.stride == module.dilation == (1, 1)
        and module.padding in {(0, 0), (1, 1)}
        and module.groups == 1
        and module.padding_mode in {"zeros", "reflect"}
        and module.weight.dtype == torch.float32
        and min(module.in_channels, module.out_channels) >= LEAST_CHANNELS
        and not module._forward_pre_hooks  # spectral norm makes the filters anew for every call
        and not module._forward_hooks
    )


@cache
def failure() -> str:
    """Compiles the kernels and tries them out; why they cannot be used on this machine, or nothing."""
    try:
        from restore.optimize.winograd_kernels import prepared  # noqa: PLC0415 - Numba's import costs half a second

        return "" if prepared() else "the kernels compute something else"
    except Exception as error:  # noqa: BLE001 - a compiler may fail in any way, and there is the direct way
        return f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0][:160]}"


def with_winograd(net: nn.Module) -> nn.Module:
    """`net` with its suited convolutions replaced, in place, those that several modules share by a shared one."""
    made: dict[nn.Module, nn.Module] = {}
    for parent in list(net.modules()):
        for name, child in list(
            parent._modules.items()
        ):  # named_children() leaves out what a parent has twice
            if child is not None and is_suited(child):
                assert isinstance(child, nn.Conv2d), "is_suited says so"
                if child not in made:
                    made[child] = WinogradConv2d(child)
                setattr(parent, name, made[child])
    return net
