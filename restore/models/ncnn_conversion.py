"""Converts networks in ncnn's format to safetensors with the tensor names of the official files.

ncnn has no names for tensors. The layers are in the order in which the network uses them, which is
the order of the official state dict.
"""

from __future__ import annotations

from safetensors.numpy import save

from restore.models.ncnn_file import read_ncnn

ESRGAN_FIRST = ("conv_first",)
ESRGAN_LAST = ("conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last")
CONVOLUTIONS_PER_BLOCK = 15
"""Three dense blocks of five convolutions."""


def convert_ncnn(architecture: str, param: str, weights: bytes) -> bytes:
    """Return the content of a safetensors file; precisions are those of the ncnn file.

    Args:
        architecture: `Compact` or `ESRGAN`, with scale 4.
        param: content of the `.param` file.
        weights: content of the `.bin` file.

    Raises:
        ValueError: the file is damaged, or does not contain this architecture.
    """
    layers = read_ncnn(param, weights)
    tensors = {}
    for name, layer in zip(_layer_names(architecture, len(layers)), layers, strict=True):
        tensors[f"{name}.weight"] = layer.weight
        if layer.bias is not None:
            tensors[f"{name}.bias"] = layer.bias
    return save(tensors)


def _layer_names(architecture: str, count: int) -> tuple[str, ...]:
    if architecture == "Compact":
        return tuple(f"body.{index}" for index in range(count))
    if architecture != "ESRGAN":
        raise ValueError(f"the names of {architecture}'s tensors are unknown")
    in_blocks = count - len(ESRGAN_FIRST) - len(ESRGAN_LAST)
    if in_blocks <= 0 or in_blocks % CONVOLUTIONS_PER_BLOCK:
        raise ValueError(f"{count} convolutions are no ESRGAN network")
    blocks = (
        f"body.{block}.rdb{dense}.conv{index}"
        for block in range(in_blocks // CONVOLUTIONS_PER_BLOCK)
        for dense in (1, 2, 3)
        for index in (1, 2, 3, 4, 5)
    )
    return (*ESRGAN_FIRST, *blocks, *ESRGAN_LAST)
