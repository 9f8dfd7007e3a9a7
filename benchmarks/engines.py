"""Ways to run a network's forward: torch eagerly in either layout, the project's faster copy, torch's compiler, OpenVINO in two ways, ncnn.

An engine takes a module with its inputs and gives a call without arguments, after one call by which everything is compiled. OpenVINO
and ncnn are no dependencies of this project: `pip install openvino`, `pip install ncnn pnnx`.
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
"""One forward: the tensors of its answer."""
Engine = Callable[[nn.Module, Sequence[Tensor]], Call]


class SkippedError(Exception):
    """An engine that has no way to run this; its text says why."""


def eager(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """The module as it stands."""
    return _warm(lambda: list(tensors_in(module(*inputs))))


def channels_last(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """The same with the channels of a pixel side by side in memory, which most convolutions work in anyway."""
    module = copy.deepcopy(module).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs want a dtype too
    return eager(
        module, [tensor.contiguous(memory_format=torch.channels_last) for tensor in inputs]
    )


def optimized(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """The copy that `stability_mode` optimized runs without a compiler: rearranged, and on a CPU with Winograd's convolutions."""
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
    """torch.compile for this one shape; on a CPU with the weights as constants of the program (freezing)."""
    frozen = inputs[0].device.type == "cpu"
    compiled: Any = torch.compile(module, dynamic=False)
    with importlib.import_module("torch._inductor.config").patch(freezing=frozen):
        return _warm(lambda: list(tensors_in(compiled(*inputs))))


def openvino(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """torch.compile with OpenVINO behind it: what OpenVINO cannot do stays torch's.

    Raises:
        RuntimeError: OpenVINO gave up. Its backend itself says nothing of it and lets torch compute.
    """
    _needs_float32_cpu(inputs)
    config = importlib.import_module("torch._dynamo.config")
    # Importing the backend turns this option off for the whole process, where the other engines want it as it was.
    with (
        config.patch(inline_inbuilt_nn_modules=False),
        _reported("openvino.frontend.pytorch.torchdynamo") as reports,
    ):
        _imported("openvino.torch", "openvino")
        # Without aot_autograd its tracing does not know torch 2.11, and fails.
        options: Any = {"device": "CPU", "aot_autograd": True, "config": _openvino_config()}
        compiled: Any = torch.compile(module, backend="openvino", dynamic=False, options=options)
        call = _warm(lambda: list(tensors_in(compiled(*inputs))))
    failures = [report for report in reports if "failed" in report.lower()]
    if failures:
        raise RuntimeError(failures[0].partition("\n")[0])
    return call


def openvino_converted(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """The whole network converted to OpenVINO's own form."""
    _needs_float32_cpu(inputs)
    library = _imported("openvino", "openvino")
    with _quiet_tracing():
        converted = library.convert_model(
            module, example_input=tuple(inputs), input=[list(tensor.shape) for tensor in inputs]
        )
    compiled = library.compile_model(converted, "CPU", _openvino_config())
    arrays = [tensor.numpy() for tensor in inputs]
    return _warm(lambda: [torch.from_numpy(answer) for answer in compiled(arrays).values()])


def ncnn(module: nn.Module, inputs: Sequence[Tensor]) -> Call:
    """The network converted by pnnx and run by ncnn on the CPU, weights and arithmetic in float32.

    Raises:
        RuntimeError: pnnx or ncnn does not know a layer.
    """
    _needs_float32_cpu(inputs)
    library, converter = _imported("ncnn", "ncnn"), _imported("pnnx", "pnnx")
    net = library.Net()
    net.opt.use_vulkan_compute = net.opt.use_fp16_packed = net.opt.use_fp16_storage = (
        net.opt.use_fp16_arithmetic
    ) = False
    net.opt.num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "net.pt"
        with _quiet_tracing():
            torch.jit.trace(module, tuple(inputs), check_trace=False).save(program)  # type: ignore[no-untyped-call]
        shapes = ",".join(f"{list(tensor.shape)}f32".replace(" ", "") for tensor in inputs)
        # The program itself, as the package's function also imports Python that it wrote, which is not always Python.
        done = subprocess.run(
            [converter.EXEC_PATH, program, f"inputshape={shapes}", "fp16=0"],
            capture_output=True,
            text=True,
            check=False,
        )
        files = [program.with_name(f"net.ncnn.{kind}") for kind in ("param", "bin")]
        if done.returncode or not all(file.is_file() for file in files):
            raise RuntimeError(
                f"pnnx could not convert it: {done.stderr.strip().rpartition(chr(10))[2]}"
            )
        if net.load_param(str(files[0])) or net.load_model(str(files[1])):
            raise RuntimeError("ncnn does not know a layer of this network")
    # ncnn knows no batches: one picture, without its first dimension.
    matrices = [library.Mat(tensor[0].contiguous().numpy()).clone() for tensor in inputs]

    def run() -> list[Tensor]:
        with net.create_extractor() as extractor:
            # By name: in0, in1, ... and out0, out1, ...; ncnn lists them in an order of its own.
            for name, matrix in zip(sorted(net.input_names()), matrices, strict=True):
                extractor.input(name, matrix)
            found = [extractor.extract(name) for name in sorted(net.output_names())]
            if any(code for code, _ in found):
                raise RuntimeError("ncnn could not compute this network")
            return [torch.tensor(matrix.numpy())[None] for _, matrix in found]

    return _warm(run)


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
    # Left to itself OpenVINO computes in bfloat16 wherever the CPU names AMX: far from float32, and the end of the process
    # (illegal instruction) where the system does not let programs use what the CPU names.
    return {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": str(torch.get_num_threads()),
    }


def _imported(module: str, package: str) -> Any:  # noqa: ANN401 - libraries without types, which may not be there
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SkippedError(f"the package {package} is not installed ({error})") from error


@contextmanager
def _reported(logger_name: str) -> Iterator[list[str]]:
    """All that the loggers below a name say while this lasts, whatever their level."""
    reports: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reports.append(record.getMessage())

    loggers = [
        logging.getLogger(f"{logger_name}.{part}") for part in ("backend", "execute", "compile")
    ]
    handler, levels = Keep(), [logger.level for logger in loggers]
    # The modules set their own levels when they are imported, so that has to be done first.
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
    """torch 2.11 advises against torch.jit.trace, by which both converters read a module, and remarks on every size it sees checked."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message="`torch.jit", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="Converting a tensor to a Python")
        yield
