"""NAFNet, LaMa and RRDB (Real-ESRGAN) below float32: library networks behind forwards of this project, which share their modules."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from restore.optimize.parts import PixelLayerNorm, converted


class NafBlock(nn.Module):
    """NAFNet's block; its two scales are folded into the convolutions before them, its modules shared with the library's block."""

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.norm1, self.norm2 = PixelLayerNorm(block.norm1), PixelLayerNorm(block.norm2)
        self.conv1, self.conv2, self.conv4, self.sca = block.conv1, block.conv2, block.conv4, block.sca
        self.conv3, self.conv5 = _scaled(block.conv3, block.beta.flatten()), _scaled(block.conv5, block.gamma.flatten())

    def forward(self, x: Tensor) -> Tensor:
        inner = gated(self.conv2(self.conv1(self.norm1(x))))
        y = x + self.conv3(inner * self.sca(inner))
        answer: Tensor = y + self.conv5(gated(self.conv4(self.norm2(y))))
        return answer


def gated(x: Tensor) -> Tensor:
    """One half of the channels times the other."""
    one, other = x.chunk(2, dim=1)
    return one * other


class NafNet(nn.Module):
    """NAFNet in a precision: float32 photos to float32 photos; what it adds is computed in `dtype`, the sum taken in float32."""

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.dtype, self.multiple = dtype, int(net.padder_size)
        for parent in list(net.modules()):
            for name, child in parent.named_children():
                if type(child).__name__ == "NAFBlock":
                    setattr(parent, name, NafBlock(child))
        self.net = converted(net, dtype)

    def forward(self, photos: Tensor) -> Tensor:
        net: Any = self.net
        height, width = photos.shape[-2:]
        padded = F.pad(photos, (0, -width % self.multiple, 0, -height % self.multiple))
        x, skips = net.intro(padded.to(self.dtype)), []
        for encoder, down in zip(net.encoders, net.downs, strict=True):
            x = encoder(x)
            skips.append(x)
            x = down(x)
        x = net.middle_blks(x)
        for decoder, up, skip in zip(net.decoders, net.ups, skips[::-1], strict=True):
            x = decoder(up(x) + skip)
        answer: Tensor = net.ending(x).float() + padded
        return answer[..., :height, :width]


def _scaled(conv: nn.Conv2d, factors: Tensor, shift: Tensor | None = None) -> nn.Conv2d:
    """A convolution with its answers multiplied by a factor for each channel, in place; then a shift is added."""
    factors = factors.detach()
    conv.weight = nn.Parameter(conv.weight.detach() * factors[:, None, None, None], requires_grad=False)
    bias = None if conv.bias is None else conv.bias.detach() * factors
    total = shift if bias is None else bias if shift is None else bias + shift
    conv.bias = None if total is None else nn.Parameter(total, requires_grad=False)
    return conv


class Spectral(nn.Module):
    """LaMa's spectral transform without its norms; the Fourier transforms are float32."""

    def __init__(self, transform: Any, factors: Tensor) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.conv1 = fuse_conv_bn_eval(transform.conv1[0], transform.conv1[1])
        self.conv = fuse_conv_bn_eval(transform.fu.conv_layer, transform.fu.bn)
        self.conv2 = _scaled(transform.conv2, factors)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.conv1(x))
        answer: Tensor = self.conv2(x + self.in_frequencies(x))
        return answer

    def in_frequencies(self, x: Tensor) -> Tensor:
        """A convolution of the spectrum, whose real and imaginary parts are channels beside each other."""
        spectrum = torch.view_as_real(torch.fft.rfft2(x.float(), norm="ortho"))
        batch, _, height, width, _ = spectrum.shape
        pairs = spectrum.permute(0, 1, 4, 2, 3).reshape(batch, -1, height, width).to(x.dtype)
        changed = torch.relu(self.conv(pairs)).float()
        parts = changed.view(batch, -1, 2, height, width).permute(0, 1, 3, 4, 2).contiguous()
        answer: Tensor = torch.fft.irfft2(torch.view_as_complex(parts), s=x.shape[-2:], norm="ortho").to(x.dtype)
        return answer


class FourierLayer(nn.Module):
    """LaMa's fast Fourier convolution with its norms folded in: what both outputs take from the local part is one convolution."""

    def __init__(self, layer: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        ffc = layer.ffc
        local: list[Any] = []
        self.from_global: nn.Module | None = None
        self.spectral: nn.Module | None = None
        if isinstance(layer.bn_l, nn.BatchNorm2d):
            factors, shift = _affine(layer.bn_l)
            local.append(_scaled(ffc.convl2l, factors, shift))
            if isinstance(ffc.convg2l, nn.Conv2d):
                self.from_global = _scaled(ffc.convg2l, factors)
        if isinstance(layer.bn_g, nn.BatchNorm2d):
            factors, shift = _affine(layer.bn_g)
            local.append(_scaled(ffc.convl2g, factors, shift))
            if not isinstance(ffc.convg2g, nn.Identity):
                self.spectral = Spectral(ffc.convg2g, factors)
        from_local = local[0]
        if len(local) == 2:
            from_local.weight = nn.Parameter(torch.cat([each.weight for each in local]), requires_grad=False)
            from_local.bias = nn.Parameter(torch.cat([each.bias for each in local]), requires_grad=False)
        self.widths = [each.out_channels for each in local]
        self.from_local = from_local

    def forward(self, local: Tensor, other: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        pieces = torch.split(self.from_local(local), self.widths, dim=1)
        first, second = pieces[0], pieces[1] if len(pieces) == 2 else None
        if self.from_global is not None and other is not None:
            first = first + self.from_global(other)
        if second is not None and self.spectral is not None and other is not None:
            second = second + self.spectral(other)
        return torch.relu(first), None if second is None else torch.relu(second)


def _affine(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """A batch norm as a factor and a summand for each channel."""
    assert norm.running_var is not None
    assert norm.running_mean is not None
    factors = norm.weight.detach() * torch.rsqrt(norm.running_var + norm.eps)
    return factors, norm.bias.detach() - norm.running_mean * factors


class LamaNet(nn.Module):
    """LaMa in a precision: N,3,H,W photos in [0, 1] and N,1,H,W holes -> photos, float32.

    Args:
        net: spandrel's, as `compilation.lama_of` gives it; its modules are converted in place.
        dtype: of all but the Fourier transforms.
    """

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.dtype = dtype
        layers = list(net.model.model)
        kinds = [type(layer).__name__ for layer in layers]
        joined, blocks = kinds.index("ConcatTupleLayer"), kinds.index("FFCResnetBlock")
        self.first_pad = layers[0]
        self.down = nn.ModuleList(converted(FourierLayer(layer), dtype) for layer in layers[1:blocks])
        pairs = [nn.ModuleList([FourierLayer(block.conv1), FourierLayer(block.conv2)]) for block in layers[blocks:joined]]
        self.blocks = converted(nn.ModuleList(pairs), dtype)
        self.up = converted(nn.Sequential(*_without_norms(layers[joined + 1 : -1])), dtype)

    def forward(self, photos: Tensor, holes: Tensor) -> Tensor:
        x: Tensor = self.first_pad(torch.cat([photos * (1 - holes), holes], dim=1).to(self.dtype))
        other: Tensor | None = None
        for layer in self.down:
            x, other = layer(x, other)
        for pair in cast(Any, self.blocks):
            first, second = pair
            inner, inner_other = second(*first(x, other))
            x, other = x + inner, other + inner_other
        assert other is not None
        filled = self.up(torch.cat([x, other], dim=1)).float().sigmoid()
        answer: Tensor = holes * filled + (1 - holes) * photos
        return answer


def _without_norms(layers: list[nn.Module]) -> list[nn.Module]:
    """Batch norms folded into the transposed convolutions before them."""
    kept: list[nn.Module] = []
    for layer in layers:
        if isinstance(layer, nn.BatchNorm2d) and isinstance(kept[-1], nn.ConvTranspose2d):
            kept[-1] = fuse_conv_bn_eval(kept[-1], layer, transpose=True)
        else:
            kept.append(layer)
    return kept


class DenseBlock(nn.Module):
    """RRDB's dense block without concatenation: each map is convolved once, for all layers that read it, and their sums are taken.

    Convolutions of 64 or 32 channels to 192, 160, 128, 96 and 64 take the place of those of 64 to 192 channels to 32 and 64. The work is
    the same; the many outputs fill tensor cores, and nothing is copied together.
    """

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        convs = [getattr(block, f"conv{number}")[0] for number in range(1, 6)]
        self.slope = float(block.conv1[1].negative_slope)
        _scaled(convs[-1], torch.full_like(convs[-1].bias.detach(), 0.2))
        widths = [convs[0].in_channels, *(conv.out_channels for conv in convs[:-1])]
        self.widths = [conv.out_channels for conv in convs]
        starts = [sum(widths[:index]) for index in range(len(widths))]
        self.spread = nn.ModuleList()
        for index, (start, width) in enumerate(zip(starts, widths, strict=True)):
            readers = convs[index:]
            weight = torch.cat([conv.weight.detach()[:, start : start + width] for conv in readers])
            conv = nn.Conv2d(width, len(weight), 3, padding=1, bias=index == 0, device=weight.device)
            conv.weight = nn.Parameter(weight, requires_grad=False)
            if index == 0:
                conv.bias = nn.Parameter(torch.cat([reader.bias.detach() for reader in readers]), requires_grad=False)
            self.spread.append(conv)

    def forward(self, x: Tensor) -> Tensor:
        found: list[Tensor] = []
        known = x
        for index, conv in enumerate(self.spread):
            found.append(conv(known))
            total = self._sum(found, index)
            known = F.leaky_relu(total, self.slope) if index < len(self.widths) - 1 else total
        return x + known

    def _sum(self, found: list[Tensor], index: int) -> Tensor:
        """What layer `index` gets from all maps so far."""
        total: Tensor | None = None
        for source, answers in enumerate(found):
            start = sum(self.widths[source:index])
            part = answers[:, start : start + self.widths[index]]
            total = part if total is None else total + part
        assert total is not None
        return total


class Rrdb(nn.Module):
    """Three dense blocks beside a shortcut."""

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.blocks = nn.ModuleList(DenseBlock(each) for each in (block.RDB1, block.RDB2, block.RDB3))

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for block in self.blocks:
            y = block(y)
        return torch.add(x, y, alpha=0.2)


def spread_dense_blocks(net: nn.Module) -> nn.Module:
    """An RRDB network with this module's dense blocks, in place."""
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if type(child).__name__ == "RRDB" and cast(Any, child).RDB1.conv1x1 is None:
                setattr(parent, name, Rrdb(child))
    return net
