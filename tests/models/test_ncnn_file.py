"""Tests of reading networks in ncnn's format."""

import numpy as np
import pytest
from ncnnfiles import as_float16, ncnn_files, small_state

from restore.models.ncnn_file import read_ncnn


@pytest.mark.parametrize("tag", [0x01306B47, 0], ids=["float16", "float32"])
def test_values_and_shapes_are_those_of_the_network(tag: int) -> None:
    state = small_state()
    first, slopes, last = read_ncnn(*ncnn_files(state, tag))
    for layer, index in ((first, 0), (last, 2)):
        weight = state[f"body.{index}.weight"]
        expected = as_float16(weight) if tag else weight.numpy()
        assert layer.weight.dtype == expected.dtype
        np.testing.assert_array_equal(layer.weight, expected)
        assert layer.bias is not None
        np.testing.assert_array_equal(layer.bias, state[f"body.{index}.bias"].numpy())
    assert slopes.bias is None
    np.testing.assert_array_equal(slopes.weight, state["body.1.weight"].numpy())


PARAM, WEIGHTS = ncnn_files(small_state())


@pytest.mark.parametrize(
    ("param", "weights", "words"),
    [
        ("", WEIGHTS, "not an ncnn text"),
        (PARAM.replace("7767517", "7767518"), WEIGHTS, "not an ncnn text"),
        (PARAM, WEIGHTS[:-1], "are left"),
        (PARAM, WEIGHTS[:2], "are left"),
        (PARAM, WEIGHTS + b"\0\0\0\0", "belong to no layer"),
        (PARAM, b"\x01" + WEIGHTS[1:], "unsupported tag"),
        (PARAM.replace("PReLU", "LSTM"), WEIGHTS, "unsupported type LSTM"),
        (PARAM.replace("5=1", "5=0"), WEIGHTS, "unsupported parameters"),
        (PARAM.replace("6=27", "6=28"), WEIGHTS, "unsupported parameters"),
        (PARAM.replace("6=27", "6=-27"), WEIGHTS, "unsupported parameters"),
        (PARAM.replace("0=1 1=3", "0=0 1=3"), WEIGHTS, "unsupported parameters"),
        (PARAM.replace("0=48 1=3 4=1 5=1 6=432", "0=48 1=3"), WEIGHTS, "unsupported parameters"),
        (PARAM.replace("6=27", "6=2700000000"), WEIGHTS, "are expected"),
    ],
)
def test_damaged_files_are_rejected(param: str, weights: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_ncnn(param, weights)
