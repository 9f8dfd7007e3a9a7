"""RestoreFormer (Wang et al., CVPR 2022) below float32; distances to the codes are float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.nets.low_precision.layers import Float32Module, convert_floats
from restore.nets.low_precision.vqgan import convert_block


class NearestCodes(nn.Module):
    """Replace each pixel's features by the nearest code, with distances in float32.

    Args:
        codebook: KxC.
    """

    def __init__(self, codebook: Tensor) -> None:
        super().__init__()
        self.codebook = nn.Buffer(codebook.detach().float())

    def forward(self, features: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Quantise NxCxHxW features.

        Args:
            features: the features.
            codes: N*H*W indices to use instead of the nearest.

        Returns:
            NxCxHxW codes in float32, and their N*H*W indices.
        """
        batch, channels, height, width = features.shape
        pixels = features.float().permute(0, 2, 3, 1).reshape(-1, channels)
        # The square of the pixel is the same for all codes and is left out.
        distances = self.codebook.square().sum(dim=1) - 2 * (pixels @ self.codebook.t())
        indices = distances.argmin(dim=1) if codes is None else codes
        quantized = F.embedding(indices, self.codebook).view(batch, height, width, channels)
        return quantized.permute(0, 3, 1, 2), indices


class LowPrecisionRestoreFormer(nn.Module):
    """RestoreFormer with one precision for the encoder and one for the decoder.

    Args:
        net: the library's network; its modules are converted in place.
        encoder_dtype: precision of the encoder, whose output selects the codes.
        decoder_dtype: precision of the decoder.
    """

    def __init__(
        self,
        net: Any,  # noqa: ANN401 - the library has no types
        encoder_dtype: torch.dtype,
        decoder_dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.encoder_dtype, self.decoder_dtype = encoder_dtype, decoder_dtype
        for parent in (*net.encoder.modules(), *net.decoder.modules()):
            for name, child in parent.named_children():
                setattr(parent, name, convert_block(child))
        self.encoder = convert_floats(net.encoder, encoder_dtype)
        self.decoder = convert_floats(net.decoder, decoder_dtype)
        self.quant_conv = Float32Module(net.quant_conv)
        self.post_quant_conv = convert_floats(net.post_quant_conv, decoder_dtype)
        self.quantize = NearestCodes(net.quantize.embedding.weight)

    def forward(self, faces: Tensor, codes: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Restore faces.

        Args:
            faces: Nx3xSxS in [-1, 1].
            codes: indices to use instead of the nearest codes.

        Returns:
            Nx3xSxS faces in float32, and the indices of the codes.
        """
        features, middle, coarsest = self._encode(faces.to(self.encoder_dtype))
        quantized, indices = self.quantize(self.quant_conv(features), codes)
        decoder: Any = self.decoder
        h = decoder.conv_in(self.post_quant_conv(quantized.to(self.decoder_dtype)))
        middle, coarsest = middle.to(h.dtype), coarsest.to(h.dtype)
        h = decoder.mid.block_2(decoder.mid.attn_1(decoder.mid.block_1(h), middle))
        for level in reversed(range(decoder.num_resolutions)):
            up = decoder.up[level]
            for index, block in enumerate(up.block):
                h = block(h)
                if len(up.attn):
                    h = up.attn[index](h, coarsest)
            if level:
                h = up.upsample(h)
        return decoder.conv_out(F.silu(decoder.norm_out(h))).float(), indices

    def _encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the encoder's output and the features after and before its middle attention."""
        encoder: Any = self.encoder
        h = encoder.conv_in(x)
        for level in range(encoder.num_resolutions):
            down = encoder.down[level]
            for index, block in enumerate(down.block):
                h = block(h)
                if len(down.attn):
                    h = down.attn[index](h)
            if level != encoder.num_resolutions - 1:
                h = down.downsample(h)
        coarsest = encoder.mid.block_1(h)
        middle = encoder.mid.block_2(encoder.mid.attn_1(coarsest))
        return encoder.conv_out(F.silu(encoder.norm_out(middle))), middle, coarsest
