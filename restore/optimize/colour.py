"""DDColor below float32: the encoder's features go on as values, not through hooks, so that a compiler sees one program.

Its last steps are reordered. Features are mixed to the two colours before they are enlarged and blurred, which are linear: no map of
256 channels at the photo's full size is ever made.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.folding import fold
from restore.nets.old_photo_faces import fold_spectral_norms
from restore.optimize.parts import Float32, PixelLayerNorm, converted


class ColourQueries(nn.Module):
    """DDColor's colour decoder up to its queries: three maps of features -> N,100,256."""

    def __init__(self, decoder: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.decoder = decoder

    def forward(self, *maps: Tensor) -> Tensor:
        d = self.decoder
        memories, keys = [], []
        for level, features in enumerate(maps):
            memory = (d.input_proj[level](features).flatten(2) + d.level_embed.weight[level][None, :, None]).permute(2, 0, 1)
            memories.append(memory)
            keys.append(memory + d.pe_layer(features, None).flatten(2).permute(2, 0, 1))
        place = d.query_embed.weight.unsqueeze(1)
        queries = d.query_feat.weight.unsqueeze(1).repeat(1, len(maps[0]), 1)
        for index in range(d.num_layers):
            level = index % d.num_feature_levels
            cross, own = d.transformer_cross_attention_layers[index], d.transformer_self_attention_layers[index]
            found = attended(cross.multihead_attn, queries + place, keys[level], memories[level])
            queries = cross.norm(queries + found)
            asks = queries + place
            queries = own.norm(queries + attended(own.self_attn, asks, asks, queries))
            queries = d.transformer_ffn_layers[index](queries)
        answer: Tensor = d.color_embed(d.decoder_norm(queries).transpose(0, 1))
        return answer


def attended(module: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The module's answer to L,N,C queries, by plain products.

    A hundred queries of sixteen thousand keys are too few for fused attention to fill a GPU: it took 6.2 of DDColor's 9.8 ms on an H100.
    """
    assert module.in_proj_weight is not None, "query, key and value have one size"
    weights, biases = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
    heads, width = module.num_heads, module.embed_dim // module.num_heads
    inputs = zip((query, key, value), weights, biases, strict=True)
    q, k, v = (F.linear(x, w, b).view(*x.shape[:2], heads, width).permute(1, 2, 0, 3) for x, w, b in inputs)
    shares = torch.softmax(torch.matmul(q * width**-0.5, k.transpose(2, 3)), dim=3)
    return module.out_proj(torch.matmul(shares, v).permute(2, 0, 1, 3).flatten(2))  # type: ignore[no-any-return]


class DDColorNet(nn.Module):
    """DDColor in a precision: N,3,H,W grey RGB in [0, 1] -> N,2,H,W ab, float32.

    Args:
        net: a copy of the library's; its modules are converted in place.
        dtype: of encoder and decoder; the colour queries and the last mixing are float32.
    """

    def __init__(self, net: Any, dtype: torch.dtype) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        fold(fold_spectral_norms(net))
        self.dtype = dtype
        self.mean, self.deviation = nn.Buffer(net.mean.float()), nn.Buffer(net.std.float())
        arch, decoder = net.encoder.arch, net.decoder
        for parent in list(arch.modules()):
            for name, child in parent.named_children():
                if type(child).__name__ == "LayerNorm" and getattr(child, "data_format", "") == "channels_first":
                    setattr(parent, name, PixelLayerNorm(child))
            if hasattr(parent, "pwconv2"):
                _fold_scale(parent)
        for name in arch._modules:
            arch._modules[name]._forward_hooks.clear()
        self.norms = nn.ModuleList(converted(getattr(arch, f"norm{level}"), dtype) for level in range(4))
        self.downsample_layers: Any = converted(arch.downsample_layers, dtype)
        self.stages: Any = converted(arch.stages, dtype)
        self.layers: Any = converted(decoder.layers, dtype)
        last = decoder.last_shuf
        self.scale = last.shuf.upscale_factor
        self.last_conv = _by_place(last.conv[0], self.scale**2).to(dtype)
        self.queries = Float32(ColourQueries(decoder.color_decoder))
        mixing = net.refine_net[0][0]
        weight = mixing.weight.detach().float()[:, :, 0, 0]
        self.mix_queries, self.mix_photo = nn.Buffer(weight[:, :-3]), nn.Buffer(weight[:, -3:])
        self.shift = nn.Buffer(mixing.bias.detach().float())

    def forward(self, photos: Tensor) -> Tensor:
        normed = (photos - self.mean) / self.deviation
        x, skips = normed.to(self.dtype), []
        for down, stage, norm in zip(self.downsample_layers, self.stages, self.norms, strict=True):
            x = stage(down(x))
            skips.append(norm(x))
        maps, up = [], skips[-1]
        for layer, skip in zip(self.layers, skips[-2::-1], strict=True):
            up = layer.conv(torch.relu(torch.cat([layer.shuf(up), layer.bn(skip)], dim=1)))
            maps.append(up)
        colours = torch.einsum("oq,nqc->noc", self.mix_queries, self.queries(*maps))
        mixed = self.mixed(torch.relu(self.last_conv(up)), colours)
        blurred = F.avg_pool2d(F.pad(mixed, (1, 0, 1, 0), mode="replicate"), 2, stride=1)
        return blurred + torch.einsum("oi,nihw->nohw", self.mix_photo, normed) + self.shift[:, None, None]

    def mixed(self, features: Tensor, colours: Tensor) -> Tensor:
        """N,(places C),h,w features and N,2,C factors -> N,2,H,W: each place of a pixel mixed to two colours, then put where it belongs."""
        batch, _, height, width = features.shape
        seen = features.permute(0, 2, 3, 1).reshape(batch, height, width, self.scale, self.scale, -1)
        if torch.compiler.is_compiling():  # as sums, which the compiler takes in the same pass as the relu before
            planes = [(seen.float() * colour[:, None, None, None, None]).sum(dim=-1) for colour in colours.unbind(1)]
            both = torch.stack(planes, dim=1)
        else:
            both = torch.matmul(seen.flatten(1, 4), colours.to(seen.dtype).transpose(1, 2)).float().transpose(1, 2)
            both = both.reshape(batch, -1, height, width, self.scale, self.scale)
        return both.permute(0, 1, 2, 4, 3, 5).reshape(batch, -1, height * self.scale, width * self.scale)


def _fold_scale(block: Any) -> None:  # noqa: ANN401 - the library has no types
    """ConvNeXt's layer scale as part of the product before it."""
    if block.gamma is not None:
        block.pwconv2.weight.data.mul_(block.gamma.data[:, None])
        block.pwconv2.bias.data.mul_(block.gamma.data)
        block.gamma = None


def _by_place(conv: nn.Conv2d, places: int) -> nn.Conv2d:
    """A 1x1 convolution in front of a pixel shuffle, with its answers ordered by place first and channel second."""
    assert conv.bias is not None, "DDColor's has one"
    conv.weight.data = conv.weight.data.view(-1, places, *conv.weight.shape[1:]).transpose(0, 1).flatten(0, 1).contiguous()
    conv.bias.data = conv.bias.data.view(-1, places).t().flatten().contiguous()
    return conv
