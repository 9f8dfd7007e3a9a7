"""Engines that run the forward pass of a network, from eager torch to OpenVINO and ncnn.

An engine takes a module and its inputs and returns a function without arguments that runs the
module, after a first call that compiles everything. OpenVINO and ncnn are not dependencies of this
project: `pip install openvino`, `pip install ncnn pnnx`.
"""

from __future__ import annotations

import copy
import importlib
import logging
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.floors import tensors_in
from benchmarks.networks import AdapterCall
from restore.optimize import winograd
from restore.optimize.rewrite import memory_format_for, rewritten_copy

Call = Callable[[], list[Tensor]]
"""One forward pass; returns the output tensors."""
Engine = Callable[[nn.Module, Sequence[Tensor]], Call]


class SkippedError(Exception):
    """An engine cannot run this network; the text says why."""


def eager(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """Run the module as it is, in eager mode."""
    return _warm(lambda: list(tensors_in(module(*inputs))))


def channels_last(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """Run the module in eager mode with the memory layout channels last."""
    module = copy.deepcopy(module).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs want a dtype too
    return eager(
        module, [tensor.contiguous(memory_format=torch.channels_last) for tensor in inputs]
    )


def optimized(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """Run the copy that `stability_mode=optimized` uses without a compile backend."""
    device = inputs[0].device
    layout = memory_format_for(device)
    faster: nn.Module = _rewritten(module, device)
    if device.type == "cpu":
        if reason := winograd.unavailable_reason():
            raise SkippedError(reason)
        faster = winograd.use_winograd(faster)
    return eager(faster, [tensor.contiguous(memory_format=layout) for tensor in inputs])


def _rewritten(module: nn.Module, device: torch.device) -> nn.Module:
    assert isinstance(module, AdapterCall), "networks.ready() returns an AdapterCall"
    return AdapterCall(rewritten_copy(module.net, module.adapter, device), module.adapter)


def inductor(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """Compile with inductor for this shape; on a CPU with the weights as constants (freezing)."""
    frozen = inputs[0].device.type == "cpu"
    compiled: Any = torch.compile(module, dynamic=False)
    with importlib.import_module("torch._inductor.config").patch(freezing=frozen):
        return _warm(lambda: list(tensors_in(compiled(*inputs))))


def openvino(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """Compile with torch.compile and the OpenVINO backend; torch runs unsupported operations.

    Raises:
        RuntimeError: OpenVINO failed. Its backend only logs that and lets torch compute.
    """
    _needs_float32_cpu(inputs)
    config = importlib.import_module("torch._dynamo.config")
    # Importing the backend disables this option for the whole process, other engines included.
    with (
        config.patch(inline_inbuilt_nn_modules=False),
        _reported("openvino.frontend.pytorch.torchdynamo") as reports,
    ):
        _imported("openvino.torch", "openvino")
        # Without aot_autograd its tracing fails with torch 2.11.
        options: Any = {"device": "CPU", "aot_autograd": True, "config": _openvino_config()}
        compiled: Any = torch.compile(module, backend="openvino", dynamic=False, options=options)
        call = _warm(lambda: list(tensors_in(compiled(*inputs))))
    failures = [report for report in reports if "failed" in report.lower()]
    if failures:
        raise RuntimeError(failures[0].partition("\n")[0])
    return call


def openvino_converted(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """Convert the whole network to OpenVINO's format and run that."""
    _needs_float32_cpu(inputs)
    library = _imported("openvino", "openvino")
    with _quiet_tracing():
        converted = library.convert_model(
            module, example_input=tuple(inputs), input=[list(tensor.shape) for tensor in inputs]
        )
    compiled = library.compile_model(converted, "CPU", _openvino_config())
    arrays = [tensor.numpy() for tensor in inputs]
    return _warm(lambda: [torch.from_numpy(output) for output in compiled(arrays).values()])


def ncnn(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """Convert the network with pnnx and run it with ncnn on the CPU in float32.

    Raises:
        RuntimeError: pnnx or ncnn does not support a layer.
    """
    _needs_float32_cpu(inputs)
    library = _imported("ncnn", "ncnn")
    net = library.Net()
    for option in ("vulkan_compute", "fp16_packed", "fp16_storage", "fp16_arithmetic"):
        setattr(net.opt, f"use_{option}", False)
    net.opt.num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        parameters, weights = _convert_with_pnnx(module, inputs, Path(folder))
        if net.load_param(str(parameters)) or net.load_model(str(weights)):
            raise RuntimeError("ncnn does not support a layer of this network")
    # ncnn has no batch dimension.
    matrices = [library.Mat(tensor[0].contiguous().numpy()).clone() for tensor in inputs]

    def run() -> list[Tensor]:
        with net.create_extractor() as extractor:
            # Names are in0, in1, ... and out0, out1, ...; ncnn does not list them in this order.
            for name, matrix in zip(sorted(net.input_names()), matrices, strict=True):
                extractor.input(name, matrix)
            outputs = [extractor.extract(name) for name in sorted(net.output_names())]
            if any(code for code, _ in outputs):
                raise RuntimeError("ncnn could not compute this network")
            return [torch.tensor(matrix.numpy())[None] for _, matrix in outputs]

    return _warm(run)


def _convert_with_pnnx(
    module: nn.Module, inputs: Sequence[Tensor], folder: Path
) -> tuple[Path, Path]:
    """Trace a module and convert it; return the files of parameters and weights."""
    converter = _imported("pnnx", "pnnx")
    program = folder / "net.pt"
    with _quiet_tracing():
        torch.jit.trace(module, tuple(inputs), check_trace=False).save(program)  # type: ignore[no-untyped-call]
    shapes = ",".join(f"{list(tensor.shape)}f32".replace(" ", "") for tensor in inputs)
    # pnnx.export() also imports the Python code that it generates, which may be invalid. Its
    # executable does not.
    command = [converter.EXEC_PATH, program, f"inputshape={shapes}", "fp16=0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    parameters, weights = (program.with_name(f"net.ncnn.{kind}") for kind in ("param", "bin"))
    if done.returncode or not (parameters.is_file() and weights.is_file()):
        last_line = done.stderr.strip().rpartition("\n")[2]
        raise RuntimeError(f"pnnx could not convert the network: {last_line}")
    return parameters, weights


ENGINES: Mapping[str, Engine] = MappingProxyType(
    {
        "default": eager,
        "channels_last": channels_last,
        "optimized": optimized,
        "inductor": inductor,
        "openvino": openvino,
        "openvino_converted": openvino_converted,
        "ncnn": ncnn,
    }
)


def _warm(run: Call) -> Call:
    with torch.inference_mode():
        run()

    def call() -> list[Tensor]:
        with torch.inference_mode():
            return run()

    return call


def _needs_float32_cpu(inputs: Sequence[Tensor]) -> None:
    if any(tensor.device.type != "cpu" for tensor in inputs):
        raise SkippedError("runs on the CPU only")
    if any(tensor.dtype != torch.float32 for tensor in inputs):
        raise SkippedError("is measured in float32 only")


def _openvino_config() -> dict[str, str]:
    # By default OpenVINO computes in bfloat16 if the CPU reports AMX. That is less precise and ends
    # the process (illegal instruction) if the system does not permit its use.
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
    }


def _imported(module: str, package: str) -> Any:  # noqa: ANN401 - an untyped module
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SkippedError(f"the package {package} is not installed ({error})") from error


@contextmanager
def _reported(logger_name: str) -> Iterator[list[str]]:
    """Collect the messages of the loggers below a name, at any level."""
    reports: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reports.append(record.getMessage())

    loggers = [
        logging.getLogger(f"{logger_name}.{part}") for part in ("backend", "execute", "compile")
    ]
    handler, levels = Collector(), [logger.level for logger in loggers]
    # The modules set their levels when they are imported, so import them first.
    _imported("openvino.torch", "openvino")
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield reports
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


@contextmanager
def _quiet_tracing() -> Iterator[None]:
    """Suppress the warnings of torch.jit.trace, which both converters use."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="Converting a tensor to a Python")
        yield
