"""CodeFormer, RestoreFormer and GFPGAN below float32: library networks behind forwards of this project, which share their modules.

What chooses codes (transformer, logits, distances) and what measures features (AdaIN) is float32. Codes are looked up by their number,
which equals the libraries' product with a one-hot matrix bit for bit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.modulated import FeatureModulatedConv2d
from restore.optimize.parts import Float32, GroupNormSwish, attention, converted

CODES_SIDE = 16


class Residual(nn.Module):
    """A residual block of VQGAN's kind; its modules are shared with the library's block."""

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - two libraries have one each
        super().__init__()
        self.norm1, self.norm2 = GroupNormSwish(block.norm1), GroupNormSwish(block.norm2)
        self.conv1, self.conv2 = block.conv1, block.conv2
        shortcuts = [getattr(block, name) for name in ("conv_out", "nin_shortcut", "conv_shortcut") if hasattr(block, name)]
        self.shortcut = shortcuts[0] if shortcuts else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.conv2(self.norm2(self.conv1(self.norm1(x))))
        answer: Tensor = inner + self.shortcut(x)
        return answer


class PixelAttention(nn.Module):
    """Attention among the pixels of features, or from those of others; its modules are shared with the library's block."""

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - two libraries have one each
        super().__init__()
        self.norm = GroupNormSwish(getattr(block, "norm1", None) or block.norm, swish=False)
        self.norm_other = GroupNormSwish(block.norm2, swish=False) if hasattr(block, "norm2") else None
        self.q, self.k, self.v, self.proj_out = block.q, block.k, block.v, block.proj_out
        self.heads = int(getattr(block, "head_size", 1))

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        normed = self.norm(x)
        asks = normed if other is None or self.norm_other is None else self.norm_other(other)
        answer: Tensor = x + self.proj_out(attention(self.q(asks), self.k(normed), self.v(normed), self.heads))
        return answer


def rebuilt(block: nn.Module) -> nn.Module:
    """A library's block as one of this module's; any other as it is."""
    kind = type(block).__name__
    if kind in {"ResBlock", "ResnetBlock", "SwishResidual"}:
        return Residual(block)
    if kind in {"AttnBlock", "MultiHeadAttnBlock"}:
        return PixelAttention(block)
    return GroupNormSwish(block, swish=False) if isinstance(block, nn.GroupNorm) else block


class CodePrediction(nn.Module):
    """CodeFormer's transformer: N,256,16,16 features -> N,256,1024 logits of codes."""

    def __init__(self, net: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.position_emb, self.feat_emb = net.position_emb, net.feat_emb
        self.ft_layers, self.idx_pred_layer = net.ft_layers, net.idx_pred_layer

    def forward(self, features: Tensor) -> Tensor:
        position = self.position_emb.unsqueeze(1)
        tokens = self.feat_emb(features.flatten(2).permute(2, 0, 1))
        for layer in self.ft_layers:
            normed = layer.norm1(tokens)
            asks = normed + position
            tokens = tokens + layer.self_attn(asks, asks, normed, need_weights=False)[0]
            tokens = tokens + layer.linear2(F.gelu(layer.linear1(layer.norm2(tokens))))
        logits: Tensor = self.idx_pred_layer(tokens)
        return logits.permute(1, 0, 2)


class Fusion(nn.Module):
    """CodeFormer's fusion of encoder features into the generator's, by a fidelity that may be a tensor."""

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.encode_enc = Residual(block.encode_enc)
        self.scale, self.shift = block.scale, block.shift

    def forward(self, encoded: Tensor, features: Tensor, fidelity: Tensor) -> Tensor:
        both = self.encode_enc(torch.cat([encoded, features], dim=1))
        answer: Tensor = features + fidelity * (features * self.scale(both) + self.shift(both))
        return answer


class CodeFormerNet(nn.Module):
    """CodeFormer with the encoder in one precision and the generator in another: N,3,512,512 in [-1, 1] -> faces and logits, float32.

    Args:
        net: the library's; a copy of it is best, as its modules are converted in place.
        encoder_dtype: the encoder decides which codes are chosen.
        generator_dtype: the same unless told otherwise.
    """

    def __init__(self, net: Any, encoder_dtype: torch.dtype, generator_dtype: torch.dtype | None = None) -> None:  # noqa: ANN401
        super().__init__()
        self.encoder_dtype, self.generator_dtype = encoder_dtype, generator_dtype or encoder_dtype
        self.taps = {net.fuse_encoder_block[size]: size for size in net.connect_list}
        self.fusions = {net.fuse_generator_block[size]: size for size in net.connect_list}
        self.encoder = nn.ModuleList(converted(rebuilt(block), self.encoder_dtype) for block in net.encoder.blocks)
        self.prediction = Float32(CodePrediction(net))
        self.codebook = nn.Buffer(net.quantize.embedding.weight.detach().float())
        self.generator = nn.ModuleList(converted(rebuilt(block), self.generator_dtype) for block in net.generator.blocks)
        fusions = {size: converted(Fusion(block), self.generator_dtype) for size, block in net.fuse_convs_dict.items()}
        self.fuse_convs_dict = nn.ModuleDict(fusions)

    def forward(self, faces: Tensor, fidelity: Tensor | float = 0.5, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Faces and logits.

        Args:
            faces: the library's input.
            fidelity: 0 to 1; as a tensor of one value it may change without a new program or graph.
            codes: N,256 numbers that are taken in place of the likeliest.
        """
        encoded = {}
        x = faces.to(self.encoder_dtype)
        for index, block in enumerate(self.encoder):
            x = block(x)
            if index in self.taps:
                encoded[self.taps[index]] = x
        logits = self.prediction(x)
        chosen = logits.argmax(dim=2) if codes is None else codes
        found = F.embedding(chosen, self.codebook)
        features = found.view(-1, CODES_SIDE, CODES_SIDE, found.shape[-1]).permute(0, 3, 1, 2)
        g = adapted(features, x.float()).to(self.generator_dtype)
        weight = torch.as_tensor(fidelity, device=g.device).to(g.dtype) if isinstance(fidelity, Tensor) else fidelity
        for index, block in enumerate(self.generator):
            g = block(g)
            if index in self.fusions:
                size = self.fusions[index]
                g = self.fuse_convs_dict[size](encoded[size].to(self.generator_dtype), g, weight)
        return g.float(), logits


def adapted(content: Tensor, style: Tensor) -> Tensor:
    """Features with the mean and the spread that others have in each channel (AdaIN); float32."""

    def of(features: Tensor) -> tuple[Tensor, Tensor]:
        variance, mean = torch.var_mean(features, dim=(2, 3), keepdim=True)
        return mean, (variance + 1e-5).sqrt()

    mean, spread = of(content)
    style_mean, style_spread = of(style)
    return (content - mean) / spread * style_spread + style_mean


class NearestCodes(nn.Module):
    """RestoreFormer's quantiser: the nearest codes by distances in float32, and their numbers."""

    def __init__(self, codebook: Tensor) -> None:
        super().__init__()
        self.codebook = nn.Buffer(codebook.detach().float())

    def forward(self, features: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """N,C,H,W -> the codes in that shape, float32, and N*H*W numbers; or the codes of given numbers."""
        batch, channels, height, width = features.shape
        pixels = features.float().permute(0, 2, 3, 1).reshape(-1, channels)
        distances = self.codebook.square().sum(dim=1) - 2 * (pixels @ self.codebook.t())  # the pixel's own square changes no order
        numbers = distances.argmin(dim=1) if codes is None else codes
        return F.embedding(numbers, self.codebook).view(batch, height, width, channels).permute(0, 3, 1, 2), numbers


class RestoreFormerNet(nn.Module):
    """RestoreFormer in a precision: N,3,512,512 in [-1, 1] -> faces, float32, and the numbers of their codes."""

    def __init__(self, net: Any, encoder_dtype: torch.dtype, decoder_dtype: torch.dtype | None = None) -> None:  # noqa: ANN401
        super().__init__()
        self.encoder_dtype, self.decoder_dtype = encoder_dtype, decoder_dtype or encoder_dtype
        for parent in (*net.encoder.modules(), *net.decoder.modules()):
            for name, child in parent.named_children():
                setattr(parent, name, rebuilt(child))
        self.encoder, self.decoder = converted(net.encoder, self.encoder_dtype), converted(net.decoder, self.decoder_dtype)
        self.quant_conv = Float32(net.quant_conv)
        self.post_quant_conv = converted(net.post_quant_conv, self.decoder_dtype)
        self.quantize = NearestCodes(net.quantize.embedding.weight)

    def forward(self, faces: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Faces and numbers; given numbers are taken in place of the nearest."""
        features, mid, coarsest = self.encoded(faces.to(self.encoder_dtype))
        quantised, numbers = self.quantize(self.quant_conv(features), codes)
        g: Any = self.decoder
        h = g.conv_in(self.post_quant_conv(quantised.to(self.decoder_dtype)))
        mid, coarsest = mid.to(h.dtype), coarsest.to(h.dtype)
        h = g.mid.block_2(g.mid.attn_1(g.mid.block_1(h), mid))
        for level in reversed(range(g.num_resolutions)):
            up = g.up[level]
            for index, block in enumerate(up.block):
                h = block(h)
                if len(up.attn):
                    h = up.attn[index](h, coarsest)
            if level:
                h = up.upsample(h)
        return g.conv_out(F.silu(g.norm_out(h))).float(), numbers

    def encoded(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The encoder's answer, and its features behind and before the middle's attention."""
        e: Any = self.encoder
        h = e.conv_in(x)
        for level in range(e.num_resolutions):
            down = e.down[level]
            for index, block in enumerate(down.block):
                h = block(h)
                if len(down.attn):
                    h = down.attn[index](h)
            if level != e.num_resolutions - 1:
                h = down.downsample(h)
        coarsest = e.mid.block_1(h)
        mid = e.mid.block_2(e.mid.attn_1(coarsest))
        return e.conv_out(F.silu(e.norm_out(mid))), mid, coarsest


class NormedModulatedConv2d(nn.Module):
    """StyleGAN2's modulated convolution for half precision: filters of unit norm, scales of at most one, factors in float32.

    What the convolution then gives is no larger than the demodulated answer. A convolution that is not demodulated (to RGB) answers in
    float32, so that the picture is summed in float32 over all scales.
    """

    def __init__(self, plain: FeatureModulatedConv2d) -> None:
        super().__init__()
        filters = plain.conv.weight.detach().float()
        norms = filters.square().sum(dim=(1, 2, 3)).sqrt().clamp_min(1e-12)
        self.conv = plain.conv
        self.conv.weight = nn.Parameter(filters / norms[:, None, None, None], requires_grad=False)
        self.modulation = Float32(plain.modulation)
        self.factors = Factors(norms, self.conv.weight.square().sum(dim=(2, 3)), plain.eps)
        self.enlargement = plain.enlargement

    def forward(self, features: Tensor, style: Tensor) -> Tensor:
        scales = self.modulation(style)
        top = scales.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
        scales = scales / top
        if self.enlargement != 1.0:
            features = F.interpolate(features, scale_factor=self.enlargement, mode="bilinear", align_corners=False)
        result: Tensor = self.conv(features * scales.to(features.dtype)[..., None, None])
        factors: Tensor = self.factors.module(scales, top)[..., None, None]
        return result * factors.to(result.dtype) if self.factors.demodulates else result.float() * factors


class Factors(Float32):
    """What a modulated convolution's answer is multiplied by, for each sample and channel; kept in float32."""

    def __init__(self, norms: Tensor, squares: Tensor, eps: float | None) -> None:
        super().__init__(Demodulation(norms, squares, eps) if eps is not None else Denormalisation(norms))
        self.demodulates = eps is not None


class Demodulation(nn.Module):
    """1 / |w s| from normed filters and scales."""

    def __init__(self, norms: Tensor, squares: Tensor, eps: float) -> None:
        super().__init__()
        self.norms, self.squares, self.eps = nn.Buffer(norms), nn.Buffer(squares), eps

    def forward(self, scales: Tensor, top: Tensor) -> Tensor:
        return torch.rsqrt(F.linear(scales.square(), self.squares) + self.eps / (top * self.norms).square())


class Denormalisation(nn.Module):
    """What filters and scales were divided by."""

    def __init__(self, norms: Tensor) -> None:
        super().__init__()
        self.norms = nn.Buffer(norms)

    def forward(self, scales: Tensor, top: Tensor) -> Tensor:
        return top * self.norms


class GfpganNet(nn.Module):
    """GFPGAN in a precision: N,3,512,512 in [-1, 1] -> faces, float32. Its noise is the checkpoint's.

    Args:
        net: as `compilation.rearranged` gives it: with feature-modulated convolutions. Converted in place.
        dtype: of the features.
    """

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        for parent in list(net.modules()):
            for name, child in parent.named_children():
                if isinstance(child, FeatureModulatedConv2d):
                    setattr(parent, name, NormedModulatedConv2d(child))
        self.net, self.dtype = converted(net, dtype), dtype

    def forward(self, faces: Tensor) -> Tensor:
        answer: Tensor = self.net(faces.to(self.dtype), return_rgb=False, randomize_noise=False)[0]
        return answer.float()
