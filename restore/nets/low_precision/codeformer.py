"""CodeFormer (Zhou et al., NeurIPS 2022) below float32.

The transformer, the logits and the statistics of AdaIN are float32. The features of a code are
looked up by its index. The library multiplies the codebook with a one-hot matrix instead, which
gives the same bits in float32, but does not run in half precision.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.low_precision.layers import Float32Module, convert_floats
from restore.nets.low_precision.vqgan import VqganResidual, convert_block

CODES_SIDE = 16
_EPS = 1e-5


class CodePrediction(nn.Module):
    """The transformer: Nx256x16x16 features to Nx256x1024 logits of the codes."""

    def __init__(self, net: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.position_emb, self.feat_emb = net.position_emb, net.feat_emb
        self.ft_layers, self.idx_pred_layer = net.ft_layers, net.idx_pred_layer

    def forward(self, features: Tensor) -> Tensor:
        position = self.position_emb.unsqueeze(1)
        tokens = self.feat_emb(features.flatten(2).permute(2, 0, 1))
        for layer in self.ft_layers:
            normed = layer.norm1(tokens)
            query = normed + position
            tokens = tokens + layer.self_attn(query, query, normed, need_weights=False)[0]
            tokens = tokens + layer.linear2(F.gelu(layer.linear1(layer.norm2(tokens))))
        logits: Tensor = self.idx_pred_layer(tokens)
        return logits.permute(1, 0, 2)


class Fusion(nn.Module):
    """Add encoder features to those of the generator, weighted by the fidelity."""

    def __init__(self, block: Any) -> None:  # noqa: ANN401 - the library has no types
        super().__init__()
        self.encode_enc = VqganResidual(block.encode_enc)
        self.scale, self.shift = block.scale, block.shift

    def forward(self, encoded: Tensor, features: Tensor, fidelity: Tensor | float) -> Tensor:
        fused = self.encode_enc(torch.cat([encoded, features], dim=1))
        residual = features * self.scale(fused) + self.shift(fused)
        output: Tensor = features + fidelity * residual
        return output


class LowPrecisionCodeFormer(nn.Module):
    """CodeFormer with one precision for the encoder and one for the generator.

    Args:
        net: the library's network; its modules are converted in place.
        encoder_dtype: precision of the encoder, whose output selects the codes.
        generator_dtype: precision of the generator and the fusion.
    """

    def __init__(
        self,
        net: Any,  # noqa: ANN401 - the library has no types
        encoder_dtype: torch.dtype,
        generator_dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.encoder_dtype, self.generator_dtype = encoder_dtype, generator_dtype
        self.encoder_taps = {net.fuse_encoder_block[size]: size for size in net.connect_list}
        self.generator_taps = {net.fuse_generator_block[size]: size for size in net.connect_list}
        self.encoder = nn.ModuleList(
            convert_floats(convert_block(block), encoder_dtype) for block in net.encoder.blocks
        )
        self.prediction = Float32Module(CodePrediction(net))
        self.codebook = nn.Buffer(net.quantize.embedding.weight.detach().float())
        self.generator = nn.ModuleList(
            convert_floats(convert_block(block), generator_dtype) for block in net.generator.blocks
        )
        self.fusions = nn.ModuleDict(
            {
                size: convert_floats(Fusion(block), generator_dtype)
                for size, block in net.fuse_convs_dict.items()
            }
        )

    def forward(
        self, faces: Tensor, fidelity: Tensor | float = 0.5, codes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Restore faces.

        Args:
            faces: Nx3x512x512 in [-1, 1].
            fidelity: 0 to 1. A tensor with one value can change without recompilation.
            codes: Nx256 indices that replace the most likely codes.

        Returns:
            Nx3x512x512 faces and Nx256x1024 logits, float32.
        """
        x, encoded = self._encode(faces)
        logits = self.prediction(x)
        embedded = F.embedding(logits.argmax(dim=2) if codes is None else codes, self.codebook)
        features = embedded.view(-1, CODES_SIDE, CODES_SIDE, embedded.shape[-1])
        g = match_statistics(features.permute(0, 3, 1, 2), x.float()).to(self.generator_dtype)
        if isinstance(fidelity, Tensor):
            fidelity = fidelity.to(g.device, g.dtype)
        for index, block in enumerate(self.generator):
            g = block(g)
            if index in self.generator_taps:
                size = self.generator_taps[index]
                g = self.fusions[size](encoded[size].to(self.generator_dtype), g, fidelity)
        return g.float(), logits

    def _encode(self, faces: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the encoder's output and the features for the fusion, by their size."""
        encoded = {}
        x = faces.to(self.encoder_dtype)
        for index, block in enumerate(self.encoder):
            x = block(x)
            if index in self.encoder_taps:
                encoded[self.encoder_taps[index]] = x
        return x, encoded


def match_statistics(content: Tensor, style: Tensor) -> Tensor:
    """Give NxCxHxW features the mean and deviation of `style` in each channel (AdaIN, float32)."""
    content_mean, content_std = _mean_and_std(content)
    style_mean, style_std = _mean_and_std(style)
    return (content - content_mean) / content_std * style_std + style_mean


def _mean_and_std(features: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(features, dim=(2, 3), keepdim=True)
    return mean, (variance + _EPS).sqrt()
