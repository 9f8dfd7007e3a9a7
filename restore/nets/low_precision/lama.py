"""LaMa (Suvorov et al., WACV 2022) below float32; the Fourier transforms are float32."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from restore.nets.low_precision.layers import convert_floats, scale_conv_outputs


class SpectralTransform(nn.Module):
    """LaMa's spectral transform with its norms folded.

    Args:
        transform: spandrel's module; its convolutions are shared.
        factors: a factor per output channel, folded into the last convolution.
    """

    def __init__(self, transform: Any, factors: Tensor) -> None:  # noqa: ANN401 - spandrel has no types
        super().__init__()
        self.conv1 = fuse_conv_bn_eval(transform.conv1[0], transform.conv1[1])
        self.conv = fuse_conv_bn_eval(transform.fu.conv_layer, transform.fu.bn)
        self.conv2 = scale_conv_outputs(transform.conv2, factors)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv1(x))
        output: Tensor = self.conv2(x + self._convolve_spectrum(x))
        return output

    def _convolve_spectrum(self, x: Tensor) -> Tensor:
        """Convolve the spectrum; real and imaginary parts are adjacent channels."""
        spectrum = torch.view_as_real(torch.fft.rfft2(x.float(), norm="ortho"))
        batch, _, height, width, _ = spectrum.shape
        channels = spectrum.permute(0, 1, 4, 2, 3).reshape(batch, -1, height, width)
        convolved = torch.relu(self.conv(channels.to(x.dtype))).float()
        parts = convolved.view(batch, -1, 2, height, width).permute(0, 1, 3, 4, 2).contiguous()
        output: Tensor = torch.fft.irfft2(
            torch.view_as_complex(parts), s=x.shape[-2:], norm="ortho"
        )
        return output.to(x.dtype)


class FourierLayer(nn.Module):
    """LaMa's fast Fourier convolution with its norms folded.

    One convolution computes what the local features contribute to both outputs.

    Args:
        layer: spandrel's layer; its convolutions are converted in place.
    """

    def __init__(self, layer: Any) -> None:  # noqa: ANN401 - spandrel has no types
        super().__init__()
        ffc = layer.ffc
        local_convs: list[nn.Conv2d] = []
        self.global_to_local: nn.Module | None = None
        self.spectral: nn.Module | None = None
        if isinstance(layer.bn_l, nn.BatchNorm2d):
            factors, shift = _factors_and_shift(layer.bn_l)
            local_convs.append(scale_conv_outputs(ffc.convl2l, factors, shift))
            if isinstance(ffc.convg2l, nn.Conv2d):
                self.global_to_local = scale_conv_outputs(ffc.convg2l, factors)
        if isinstance(layer.bn_g, nn.BatchNorm2d):
            factors, shift = _factors_and_shift(layer.bn_g)
            local_convs.append(scale_conv_outputs(ffc.convl2g, factors, shift))
            if not isinstance(ffc.convg2g, nn.Identity):
                self.spectral = SpectralTransform(ffc.convg2g, factors)
        self.widths = [conv.out_channels for conv in local_convs]
        self.from_local = _join_outputs(local_convs)

    def forward(
        self, local: Tensor, global_features: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Compute the local and the global output; the global one is None if there is none."""
        parts = torch.split(self.from_local(local), self.widths, dim=1)
        local_out = parts[0]
        if self.global_to_local is not None and global_features is not None:
            local_out = local_out + self.global_to_local(global_features)
        if len(parts) == 1:
            return torch.relu(local_out), None
        global_out = parts[1]
        if self.spectral is not None and global_features is not None:
            global_out = global_out + self.spectral(global_features)
        return torch.relu(local_out), torch.relu(global_out)


def _join_outputs(convs: list[nn.Conv2d]) -> nn.Conv2d:
    """Return one convolution with the outputs of all, which have the same input."""
    joint = convs[0]
    if len(convs) > 1:
        weight = torch.cat([conv.weight for conv in convs])
        bias = torch.cat([conv.bias for conv in convs if conv.bias is not None])
        joint.weight = nn.Parameter(weight, requires_grad=False)
        joint.bias = nn.Parameter(bias, requires_grad=False)
    return joint


def _factors_and_shift(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return a batch norm in eval mode as a factor and a shift per channel."""
    assert norm.running_var is not None, "LaMa's norms have running statistics"
    assert norm.running_mean is not None, "LaMa's norms have running statistics"
    factors = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    return factors, norm.bias.detach() - norm.running_mean * factors


class LowPrecisionLama(nn.Module):
    """LaMa: Nx3xHxW photos in [0, 1] and Nx1xHxW holes to filled photos, float32.

    Args:
        net: spandrel's LaMa, with its norms; it is converted in place.
        dtype: precision of everything except the Fourier transforms.
    """

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - spandrel has no types
        super().__init__()
        self.dtype = dtype
        layers = list(net.model.model)
        kinds = [type(layer).__name__ for layer in layers]
        first_block, concatenation = kinds.index("FFCResnetBlock"), kinds.index("ConcatTupleLayer")
        self.first_pad = layers[0]
        self.down = nn.ModuleList(
            convert_floats(FourierLayer(layer), dtype) for layer in layers[1:first_block]
        )
        pairs = [
            nn.ModuleList([FourierLayer(block.conv1), FourierLayer(block.conv2)])
            for block in layers[first_block:concatenation]
        ]
        self.blocks = convert_floats(nn.ModuleList(pairs), dtype)
        self.up = convert_floats(nn.Sequential(*_fold_norms(layers[concatenation + 1 : -1])), dtype)

    def forward(self, photos: Tensor, holes: Tensor) -> Tensor:
        masked = torch.cat([photos * (1 - holes), holes], dim=1)
        local: Tensor = self.first_pad(masked.to(self.dtype))
        global_features: Tensor | None = None
        for layer in self.down:
            local, global_features = layer(local, global_features)
        for pair in cast(Any, self.blocks):
            first, second = pair
            local_change, global_change = second(*first(local, global_features))
            local, global_features = local + local_change, global_features + global_change
        assert global_features is not None, "the last downsampling layer has a global output"
        filled = self.up(torch.cat([local, global_features], dim=1)).float().sigmoid()
        output: Tensor = holes * filled + (1 - holes) * photos
        return output


def _fold_norms(layers: list[nn.Module]) -> list[nn.Module]:
    """Fold batch norms into the transposed convolutions before them."""
    folded: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d) and isinstance(folded[-1], nn.ConvTranspose2d):
            folded[-1] = fuse_conv_bn_eval(folded[-1], layer, transpose=True)
        else:
            folded.append(layer)
    return folded
