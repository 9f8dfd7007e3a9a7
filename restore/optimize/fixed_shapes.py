"""Runs a compiled program for the input shapes that it was compiled for, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from restore.models.catalog import DENOISE_PARTNER
from restore.models.loader import Model

Shape = tuple[int, ...]
DEFAULT_CHANNELS = 3


def compiled_shapes_of(model: Model) -> list[Shape]:
    """Return the input shapes for which a network is compiled: NxCxHxW.

    These are its fixed input size, or its default tile if tiles give the same result as the whole
    photo. There are none if a request may interpolate the weights with those of a partner.
    """
    row, adapter = model.row, model.adapter
    if not adapter.can_compile or DENOISE_PARTNER in model.partners:
        return []
    channels = row.channels_in or DEFAULT_CHANNELS
    if row.input_px:
        return [(count, channels, row.input_px, row.input_px) for count in adapter.batch_sizes]
    if row.tiles and adapter.tile_px:
        return [(1, channels, adapter.tile_px, adapter.tile_px)]
    return []


class FixedShapeForward:
    """A forward that uses the compiled program for known shapes, else the original forward.

    Batches of other sizes are split into batches of known sizes.

    Args:
        original: the forward that was compiled.
        program: the compiled forward.
        shapes: the known input shapes, NxCxHxW; for each CxHxW, batch size 1 must be among them.
        options: the keyword arguments that the program was compiled for.
        layout: the memory layout of the program's inputs.
    """

    def __init__(
        self,
        original: Callable[..., Any],
        program: Callable[..., Any],
        shapes: Sequence[Shape],
        options: Mapping[str, Any],
        layout: torch.memory_format,
    ) -> None:
        self.original, self.program = original, program
        self.options, self.layout = dict(options), layout
        self.batch_sizes: dict[Shape, list[int]] = {}
        for batch, *rest in shapes:
            self.batch_sizes.setdefault(tuple(rest), []).append(batch)

    def __call__(self, inputs: Tensor, **options: Any) -> Any:  # noqa: ANN401 - network output
        batch_sizes = self.batch_sizes.get(tuple(inputs.shape[1:]))
        # Numbers among the options are constants of the program: others would recompile it.
        if not batch_sizes or options != self.options:
            return self.original(inputs, **options)
        outputs = []
        batches = torch.split(inputs, split_sizes(len(inputs), batch_sizes))
        for batch in batches:
            # Strides are part of the compiled shape: those of a view would recompile the program.
            copied = torch.empty_like(batch, memory_format=self.layout).copy_(batch)
            output = self.program(copied, **options)
            # A CUDA graph overwrites its output in the next call.
            outputs.append(output if len(batches) == 1 else clone_output(output))
        return outputs[0] if len(outputs) == 1 else concatenate_outputs(outputs)


def split_sizes(count: int, batch_sizes: Sequence[int]) -> list[int]:
    """Split `count` into batch sizes, the largest first; 1 must be among them."""
    sizes: list[int] = []
    while count:
        sizes.append(max(size for size in batch_sizes if size <= count))
        count -= sizes[-1]
    return sizes


def flatten_output(output: Any) -> list[Tensor]:  # noqa: ANN401 - tensors or tuples of tensors
    """Return all tensors of an output in order."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, tuple | list):
        return [tensor for part in output for tensor in flatten_output(part)]
    return []


def clone_output(output: Any) -> Any:  # noqa: ANN401 - tensors or tuples of tensors
    """Return a copy of an output."""
    if isinstance(output, Tensor):
        return output.clone()
    if isinstance(output, tuple | list):
        return tuple(clone_output(part) for part in output)
    return output


def concatenate_outputs(outputs: Sequence[Any]) -> Any:  # noqa: ANN401 - as clone_output
    """Join the outputs for the parts of a batch; values that are not tensors are from the first."""
    if isinstance(outputs[0], Tensor):
        return torch.cat(list(outputs))
    if isinstance(outputs[0], tuple | list):
        return tuple(concatenate_outputs(parts) for parts in zip(*outputs, strict=True))
    return outputs[0]
