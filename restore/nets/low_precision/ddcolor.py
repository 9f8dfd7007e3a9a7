"""DDColor (Kang et al., ICCV 2023) below float32.

The library passes the encoder's features on in forward hooks, which torch.compile turns into
constants; here they are values. The last steps are linear and reordered: features are mixed to the
two colour channels before they are enlarged and blurred, so that no map of 256 channels has the
photo's full size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.folding import fold_norms
from restore.nets.low_precision.layers import (
    ChannelLayerNorm,
    Float32Module,
    convert_floats,
)

ENCODER_LEVELS = 4


class ColorQueries(nn.Module):
    """DDColor's colour decoder up to its queries: three feature maps to Nx100x256."""

    def __init__(self, decoder: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.decoder = decoder

    def forward(self, *maps: Tensor) -> Tensor:
        decoder = self.decoder
        values, keys = [], []
        for level, features in enumerate(maps):
            embedding = decoder.level_embed.weight[level][None, :, None]
            value = (decoder.input_proj[level](features).flatten(2) + embedding).permute(2, 0, 1)
            values.append(value)
            keys.append(value + decoder.pe_layer(features, None).flatten(2).permute(2, 0, 1))
        position = decoder.query_embed.weight.unsqueeze(1)
        queries = decoder.query_feat.weight.unsqueeze(1).repeat(1, len(maps[0]), 1)
        for index in range(decoder.num_layers):
            level = index % decoder.num_feature_levels
            cross = decoder.transformer_cross_attention_layers[index]
            attended = attend(cross.multihead_attn, queries + position, keys[level], values[level])
            queries = cross.norm(queries + attended)
            within = decoder.transformer_self_attention_layers[index]
            positioned = queries + position
            attended = attend(within.self_attn, positioned, positioned, queries)
            queries = within.norm(queries + attended)
            queries = decoder.transformer_ffn_layers[index](queries)
        output: Tensor = decoder.color_embed(decoder.decoder_norm(queries).transpose(0, 1))
        return output


def attend(module: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Compute the module's output for LxNxC queries with plain matrix products.

    100 queries are too few for the fused attention kernel to fill a GPU: for 16,384 keys it took
    6.2 of DDColor's 9.8 ms on an H100.
    """
    assert module.in_proj_weight is not None, "query, key and value have one size"
    weights, biases = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
    heads, width = module.num_heads, module.embed_dim // module.num_heads
    q, k, v = (
        F.linear(x, weight, bias).view(*x.shape[:2], heads, width).permute(1, 2, 0, 3)
        for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
    )
    weights_of_keys = torch.softmax(torch.matmul(q * width**-0.5, k.transpose(2, 3)), dim=3)
    heads_joined = torch.matmul(weights_of_keys, v).permute(2, 0, 1, 3).flatten(2)
    output: Tensor = module.out_proj(heads_joined)
    return output


class LowPrecisionDdcolor(nn.Module):
    """DDColor: Nx3xHxW grey RGB in [0, 1] to Nx2xHxW ab of CIE Lab, float32.

    Args:
        net: the library's network; it is converted in place.
        dtype: precision of the encoder and decoder. The colour queries and the last mixing of
            colours are float32.
    """

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        fold_norms(net)
        self.dtype = dtype
        self.mean, self.std = nn.Buffer(net.mean.float()), nn.Buffer(net.std.float())
        arch, decoder = net.encoder.arch, net.decoder
        _rewrite_convnext(arch)
        self.norms = nn.ModuleList(
            convert_floats(getattr(arch, f"norm{level}"), dtype) for level in range(ENCODER_LEVELS)
        )
        self.downsample_layers: Any = convert_floats(arch.downsample_layers, dtype)
        self.stages: Any = convert_floats(arch.stages, dtype)
        self.layers: Any = convert_floats(decoder.layers, dtype)
        last = decoder.last_shuf
        self.scale = last.shuf.upscale_factor
        self.last_conv = _order_by_position(last.conv[0], self.scale**2).to(dtype)
        self.queries = Float32Module(ColorQueries(decoder.color_decoder))
        mixing = net.refine_net[0][0]
        weight = mixing.weight.detach().float()[:, :, 0, 0]
        self.query_weight, self.photo_weight = nn.Buffer(weight[:, :-3]), nn.Buffer(weight[:, -3:])
        self.bias = nn.Buffer(mixing.bias.detach().float())

    def forward(self, photos: Tensor) -> Tensor:
        normalized = (photos - self.mean) / self.std
        x, skips = normalized.to(self.dtype), []
        for down, stage, norm in zip(self.downsample_layers, self.stages, self.norms, strict=True):
            x = stage(down(x))
            skips.append(norm(x))
        maps, x = [], skips[-1]
        for layer, skip in zip(self.layers, skips[-2::-1], strict=True):
            x = layer.conv(torch.relu(torch.cat([layer.shuf(x), layer.bn(skip)], dim=1)))
            maps.append(x)
        factors = torch.einsum("oq,nqc->noc", self.query_weight, self.queries(*maps))
        mixed = self._mix(torch.relu(self.last_conv(x)), factors)
        blurred = F.avg_pool2d(F.pad(mixed, (1, 0, 1, 0), mode="replicate"), 2, stride=1)
        from_photo = torch.einsum("oi,nihw->nohw", self.photo_weight, normalized)
        return blurred + from_photo + self.bias[:, None, None]

    def _mix(self, features: Tensor, factors: Tensor) -> Tensor:
        """Mix features to two colour channels, then enlarge them (pixel shuffle).

        Args:
            features: Nx(scale*scale*C)xhxw, ordered by position.
            factors: Nx2xC.

        Returns:
            Nx2x(scale*h)x(scale*w), float32.
        """
        batch, _, height, width = features.shape
        shape = (batch, height, width, self.scale, self.scale, -1)
        pixels = features.permute(0, 2, 3, 1).reshape(shape)
        if torch.compiler.is_compiling():  # inductor fuses sums with the ReLU before them
            planes = [
                (pixels.float() * factor[:, None, None, None, None]).sum(dim=-1)
                for factor in factors.unbind(1)
            ]
            colors = torch.stack(planes, dim=1)
        else:
            flat = torch.matmul(pixels.flatten(1, 4), factors.to(pixels.dtype).transpose(1, 2))
            colors = flat.float().transpose(1, 2)
            colors = colors.reshape(batch, -1, height, width, self.scale, self.scale)
        shuffled = colors.permute(0, 1, 2, 4, 3, 5)
        return shuffled.reshape(batch, -1, height * self.scale, width * self.scale)


def _rewrite_convnext(arch: Any) -> None:  # noqa: ANN401 - the library has no types
    """Replace the norms over channels, fold the layer scales and remove the hooks, in place."""
    for parent in list(arch.modules()):
        for name, child in parent.named_children():
            is_layer_norm = type(child).__name__ == "LayerNorm"
            if is_layer_norm and getattr(child, "data_format", "") == "channels_first":
                setattr(parent, name, ChannelLayerNorm(child))
        if getattr(parent, "gamma", None) is not None and hasattr(parent, "pwconv2"):
            parent.pwconv2.weight.data.mul_(parent.gamma.data[:, None])
            parent.pwconv2.bias.data.mul_(parent.gamma.data)
            parent.gamma = None
    for child in arch.children():
        child._forward_hooks.clear()


def _order_by_position(conv: nn.Conv2d, positions: int) -> nn.Conv2d:
    """Reorder the outputs of a 1x1 convolution before a pixel shuffle, in place; return it.

    The new order is by position in the enlarged pixel first and by channel second.
    """
    assert conv.bias is not None, "DDColor's convolution has a bias"
    weight = conv.weight.data.view(-1, positions, *conv.weight.shape[1:])
    conv.weight.data = weight.transpose(0, 1).flatten(0, 1).contiguous()
    conv.bias.data = conv.bias.data.view(-1, positions).t().flatten().contiguous()
    return conv
