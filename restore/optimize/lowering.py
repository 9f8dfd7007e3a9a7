"""Copies of networks below float32: casts, TF32, CUDA graphs and Triton kernels."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from restore.models.adapters import adapter_for
from restore.models.catalog import Checkpoint
from restore.models.precision import FLOAT32, MIN_PSNR_DB, PrecisionName
from restore.optimize.cuda_graphs import CudaGraph, GraphedForward, to_channels_last
from restore.optimize.fixed_shapes import flatten_output
from restore.optimize.triton_copies import TRITON_ARCHITECTURES, triton_copy

DTYPES: Mapping[str, torch.dtype] = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
MIN_PROGRAM_PSNR_DB = MIN_PSNR_DB["max_speed"]
"""Lowest PSNR of a compiled or recorded program against the copy that it was made from."""

log = logging.getLogger("restore")
Capture = Callable[[Callable[..., Any], Sequence[Tensor]], Callable[..., Any]]


def lowered_copy(net: nn.Module, row: Checkpoint, precision: PrecisionName) -> nn.Module:
    """Return a copy of a network in a precision of its manifest row.

    TF32 is allowed while the copy runs, unless its encoder stays in float32 to select the same
    codes: TF32 has the mantissa of float16.

    Raises:
        ValueError: the network cannot be rewritten.
    """
    encoder, _, rest = precision.rpartition("+")
    encoder_dtype = DTYPES[encoder] if encoder else None
    adapter = adapter_for(row.architecture)
    copied = adapter.low_precision_copy(net, DTYPES[rest], encoder_dtype)
    return copied if encoder == FLOAT32 else with_tf32(copied)


def with_tf32(net: nn.Module) -> nn.Module:
    """Allow TF32 on CUDA while a network runs; return `net`."""
    settings: list[tuple[bool, bool]] = []

    def enter(*_: object) -> None:
        matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
        settings.append((matmul.allow_tf32, cudnn.allow_tf32))
        matmul.allow_tf32 = cudnn.allow_tf32 = True

    def leave(*_: object) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = settings.pop()

    net.register_forward_pre_hook(enter)
    net.register_forward_hook(leave, always_call=True)
    return net


def kernel_copy(
    net: nn.Module, row: Checkpoint, precision: PrecisionName, device: torch.device
) -> nn.Module | None:
    """Return a copy on Triton kernels, tuned for its fixed input; None if there are no kernels."""
    if row.architecture not in TRITON_ARCHITECTURES or precision not in DTYPES:
        return None
    try:
        copied = triton_copy(net, row.architecture, DTYPES[precision])
        if autotune := getattr(copied, "autotune", None):
            for inputs in adapter_for(row.architecture).fixed_inputs(row):
                autotune(inputs[0].to(device))
    except Exception as error:  # noqa: BLE001 - any error: the copy without kernels is used
        log.warning("%s does not run on Triton kernels: %s", row.file, error)
        return None
    return copied


def record_programs(
    net: nn.Module,
    examples: Sequence[Sequence[Tensor]],
    compile_forward: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
    capture: Capture = CudaGraph,
) -> None:
    """Replace the `forward` of a network by one CUDA graph for each example's shapes.

    Other shapes run as before. If the outputs of a graph differ too much from those of the network,
    or anything fails, the network is unchanged.

    Args:
        net: a copy of a network, on a CUDA device.
        examples: the inputs for each shape, on the device.
        compile_forward: compiles the forward before it is recorded; None for no compilation.
        capture: records a call.

    Raises:
        Exception: any error of the compiler, of the capture or of the comparison.
    """
    original = net.forward
    graphs = {}
    try:
        with torch.inference_mode():
            expected = [_clones(net(*inputs)) for inputs in examples]
            if compile_forward is not None:
                net.forward = compile_forward(original)
            for inputs, wanted in zip(examples, expected, strict=True):
                # Called through the module, so that its hooks set TF32 as in other calls.
                graph = capture(net, [_channels_last(each) for each in inputs])
                _check_program(_clones(graph(*inputs)), wanted)
                graphs[GraphedForward.key(inputs)] = graph
    except Exception:
        net.forward = original
        raise
    net.forward = GraphedForward(original, graphs)


def fixed_examples(row: Checkpoint, device: torch.device) -> list[list[Tensor]]:
    """Return the inputs for which programs of a network are recorded, on a device."""
    examples = adapter_for(row.architecture).fixed_inputs(row)
    return [[each.to(device) for each in inputs] for inputs in examples]


def in_fastest_layout(net: nn.Module, device: torch.device, *, optimized: bool) -> nn.Module:
    """Convert the weights of a lowered copy to channels last, in place, where that is faster.

    On a CPU it always is. On CUDA the stability mode `safe` keeps the layout of the file.
    """
    return to_channels_last(net) if optimized or device.type == "cpu" else net


def pooled_capture() -> Capture:
    """Return a capture whose graphs share one memory pool.

    A graph's output is copied before the next graph runs, so that they need the memory in turn.
    """
    pool = torch.cuda.graph_pool_handle()

    def capture(net: Callable[..., Any], inputs: Sequence[Tensor]) -> CudaGraph:
        return CudaGraph(net, inputs, pool)

    return capture


def psnr_db(output: Tensor, expected: Tensor) -> float:
    """Return the PSNR with the range of `expected` as peak; -inf for NaN, inf for equal tensors."""
    span = float(expected.max() - expected.min())
    error = float((output.float() - expected.float()).square().mean())
    if not math.isfinite(error) or (error > 0.0 and span == 0.0):
        return -math.inf
    return 10.0 * math.log10(span**2 / error) if error else math.inf


def _check_program(outputs: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """Raise ArithmeticError if the first output differs too much."""
    quality_db = psnr_db(outputs[0], expected[0])
    if quality_db < MIN_PROGRAM_PSNR_DB:
        raise ArithmeticError(f"its output has {quality_db:.1f} dB against the network's")


def _clones(output: Any) -> list[Tensor]:  # noqa: ANN401 - tensors or tuples of tensors
    return [each.clone() for each in flatten_output(output)]


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor
