"""Tests of converting ncnn networks: names and shapes are those of the official files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ncnnfiles import as_float16, ncnn_files, small_state
from safetensors.numpy import load

from restore.models.catalog import Catalog
from restore.models.loader import load_net
from restore.models.ncnn_conversion import convert_ncnn

CONVOLUTION = "Convolution conv 1 1 a b 0={outputs} 1=3 4=1 5=1 6={weights}\n"


def esrgan_files(blocks: int) -> tuple[str, bytes]:
    """An ESRGAN network with 2 channels that grow by 32; all values of layer n are n."""
    block = [(2, 32), (34, 32), (66, 32), (98, 32), (130, 2)] * 3
    sizes = [(3, 2), *block * blocks, (2, 2), (2, 2), (2, 2), (2, 2), (2, 3)]
    param, weights = f"7767517\n{len(sizes)} 1\n", b""
    for index, (inputs, outputs) in enumerate(sizes):
        count = inputs * outputs * 9
        param += CONVOLUTION.format(outputs=outputs, weights=count)
        values = np.full(count, index, "<f2").tobytes()
        weights += (0x01306B47).to_bytes(4, "little") + values + b"\0" * (-len(values) % 4)
        weights += np.full(outputs, index, "<f4").tobytes()
    return param, weights


def test_compact_network_has_the_official_names() -> None:
    state = small_state()
    converted = load(convert_ncnn("Compact", *ncnn_files(state)))
    assert converted.keys() == state.keys()
    np.testing.assert_array_equal(converted["body.2.weight"], as_float16(state["body.2.weight"]))


def test_esrgan_network_has_the_official_names_and_is_loaded(tmp_path: Path) -> None:
    content = convert_ncnn("ESRGAN", *esrgan_files(blocks=2))
    converted = load(content)
    order = {key: float(value.flat[0]) for key, value in converted.items()}
    assert [order[f"{name}.weight"] for name in ("conv_first", "body.0.rdb1.conv1")] == [0, 1]
    assert order["body.0.rdb3.conv5.bias"] == 15
    assert order["body.1.rdb1.conv1.bias"] == 16
    assert order["conv_body.bias"] == 31
    assert order["conv_last.weight"] == 35
    path = tmp_path / "net.safetensors"
    path.write_bytes(content)
    net = load_net(path, Catalog.load().find("upscale", "x4plus"))
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert net(torch.zeros(1, 3, 4, 4)).shape == (1, 3, 16, 16)


def test_content_is_the_same_each_time() -> None:
    files = ncnn_files(small_state())
    assert convert_ncnn("Compact", *files) == convert_ncnn("Compact", *files)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [("NAFNet", "NAFNet's tensors are unknown"), ("ESRGAN", "3 convolutions are no ESRGAN")],
)
def test_other_architectures_are_rejected(architecture: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        convert_ncnn(architecture, *ncnn_files(small_state()))
