"""Reads the convolutions of a network in ncnn's format: a `.param` text and a `.bin` of weights.

The text has one line per layer: type, name, numbers of inputs and outputs, their names, and
`key=value` parameters. The weights follow each other in the order of the layers. Those of a
convolution begin with a tag for their type; biases and slopes are float32 without a tag.
Source of the format: ncnn's documentation of model files and operators.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

PARAM_MAGIC = "7767517"
HEADER_LINES = 2
FLOAT16_TAG = 0x01306B47
FLOAT32_TAG = 0
ALIGNMENT_BYTES = 4
WITHOUT_WEIGHTS = frozenset(
    ("Input", "Split", "Concat", "Eltwise", "BinaryOp", "Interp", "PixelShuffle")
)

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class NcnnLayer:
    """A layer with weights.

    Attributes:
        weight: OxIxKxK of a convolution, in the type of the file; C float32 slopes of a PReLU.
        bias: O float32; None for a PReLU.
    """

    weight: Array
    bias: Array | None = None


def read_ncnn(param: str, weights: bytes) -> list[NcnnLayer]:
    """Return the layers with weights, in the order of the file.

    Args:
        param: content of the `.param` file.
        weights: content of the `.bin` file.

    Raises:
        ValueError: the file is damaged, or has a layer that is not supported.
    """
    lines = param.splitlines()
    if not lines or lines[0].strip() != PARAM_MAGIC:
        raise ValueError(f"the file does not begin with {PARAM_MAGIC}: it is not an ncnn text")
    reader = _Weights(weights)
    layers = []
    for line in lines[HEADER_LINES:]:
        kind, *rest = line.split()
        if kind == "Convolution":
            layers.append(_convolution(dict(_parameters(rest)), reader))
        elif kind == "PReLU":
            layers.append(NcnnLayer(reader.float32(dict(_parameters(rest)).get(0, 0))))
        elif kind not in WITHOUT_WEIGHTS:
            raise ValueError(f"layer {line.split()[1:2]} has the unsupported type {kind}")
    if reader.left_bytes:
        raise ValueError(f"{reader.left_bytes} bytes of weights belong to no layer")
    return layers


def _parameters(fields: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the integer parameters of a layer; arrays and fractions are not needed."""
    for field in fields:
        key, separator, value = field.partition("=")
        if separator and value.lstrip("-").isdecimal() and key.isdecimal():
            yield int(key), int(value)


def _convolution(parameters: dict[int, int], reader: _Weights) -> NcnnLayer:
    """Read a convolution; keys: 0 outputs, 1 kernel width, 5 has a bias, 6 number of weights."""
    outputs, side_px, count = (parameters.get(key, 0) for key in (0, 1, 6))
    per_input = outputs * side_px * side_px
    if per_input <= 0 or count <= 0 or count % per_input or parameters.get(5) != 1:
        raise ValueError(f"a convolution has the unsupported parameters {parameters}")
    shape = (outputs, count // per_input, side_px, side_px)
    return NcnnLayer(reader.tagged(count).reshape(shape), reader.float32(outputs))


class _Weights:
    """The content of a `.bin` file, read from its beginning."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 0

    @property
    def left_bytes(self) -> int:
        """Number of bytes that were not read."""
        return len(self._content) - self._position

    def float32(self, count: int) -> Array:
        """Read values without a tag."""
        return self._values(count, "<f4")

    def tagged(self, count: int) -> Array:
        """Read values that begin with a tag for their type."""
        tag = int(self._values(1, "<u4")[0])
        if tag not in (FLOAT16_TAG, FLOAT32_TAG):
            raise ValueError(f"weights have the unsupported tag {tag:#010x}")
        return self._values(count, "<f2" if tag == FLOAT16_TAG else "<f4")

    def _values(self, count: int, dtype: str) -> Array:
        size = count * np.dtype(dtype).itemsize
        if size > self.left_bytes:
            raise ValueError(f"{size} bytes of weights are expected, {self.left_bytes} are left")
        values = np.frombuffer(self._content, dtype, count, self._position)
        self._position += size + -size % ALIGNMENT_BYTES
        return values
