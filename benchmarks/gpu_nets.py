"""Measures one network in one precision and engine: time, quality and share of the floor."""

from __future__ import annotations

import functools
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.floors import count, tensors_in
from benchmarks.gpu_cases import TARGETS, Case
from benchmarks.gpu_subject import Subject, allow_tf32
from benchmarks.rows import machine
from restore.optimize.cuda_graphs import CudaGraph, compile_network

MEASURED_S = 0.3
MIN_CALLS = 10
CPU_CALLS = 2
MAX_ERROR_CHARACTERS = 300


@dataclass
class PreparedCase:
    """A case that was compiled, captured and called once.

    Attributes:
        case: the case.
        facts: part of the row: time of the first call and quality, or an error.
        call: the compiled and captured call; None after an error.
        module: the module behind `call`.
    """

    case: Case
    facts: dict[str, Any]
    call: Callable[[], Any] | None = None
    module: nn.Module | None = None


def prepare(subject: Subject, case: Case) -> PreparedCase:
    """Prepare a case and measure its quality; an error becomes part of the row."""
    started_s = time.perf_counter()
    try:
        with torch.inference_mode():
            module = subject.copy_for(case)
            _autotune(module, subject)
            call = build_call(subject, case, module)
            output = [each.clone() for each in tensors_in(call())]
            first_call_s = round(time.perf_counter() - started_s, 2)
            same_codes = None
            if subject.codes is not None and case.engine != "library":
                forced = module(*subject.inputs, codes=subject.codes_as_input())
                same_codes = next(tensors_in(forced))
            facts = {"first_call_s": first_call_s, **subject.quality(output, same_codes)}
            return PreparedCase(case, facts, call, module)
    except Exception as error:  # noqa: BLE001 - the other cases are still measured
        return PreparedCase(case, {"error": _describe(error)})


def build_call(subject: Subject, case: Case, module: nn.Module) -> Callable[[], Any]:
    """Compile and capture a module as its engine requires."""
    inputs = subject.inputs
    if case.engine == "library":
        return functools.partial(module, *inputs)
    inputs = tuple(each.contiguous(memory_format=torch.channels_last) for each in inputs)
    net = compile_network(module) if case.engine.startswith("compiled") else module
    if case.engine.endswith("graph") and subject.device.type == "cuda":
        return functools.partial(CudaGraph(net, inputs), *inputs)
    return functools.partial(net, *inputs)


def measure(subject: Subject, prepared: PreparedCase, floors: Floors) -> dict[str, Any]:
    """Measure the time of a prepared case and return its row."""
    case = prepared.case
    row = {
        **vars(case),
        "batch": subject.network.batch,
        "weights": subject.weights,
        **prepared.facts,
    }
    if prepared.call is None or prepared.module is None:
        return row
    allow_tf32(case.precision != "float32")
    try:
        with torch.inference_mode():
            if _autotune(prepared.module, subject, again=True):
                prepared.call = build_call(subject, case, prepared.module)
            for _ in range(2):
                prepared.call()
            times = times_ms(prepared.call, subject.device)
    except Exception as error:  # noqa: BLE001 - the other cases are still measured
        return row | {"error": _describe(error)}
    median_ms = round(statistics.median(times), 3)
    times_of_row = {"ms": median_ms, "fastest_ms": round(min(times), 3), "calls": len(times)}
    return row | times_of_row | floors.of(case.precision, median_ms)


def times_ms(call: Callable[[], Any], device: torch.device) -> list[float]:
    """Return the times of single calls, on CUDA by events."""
    if device.type != "cuda":
        return [_cpu_time_ms(call) for _ in range(CPU_CALLS)]
    times: list[float] = []
    until_s = time.perf_counter() + MEASURED_S
    while len(times) < MIN_CALLS or time.perf_counter() < until_s:
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        call()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return times


def _cpu_time_ms(call: Callable[[], Any]) -> float:
    started_s = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started_s)


def _autotune(module: nn.Module, subject: Subject, *, again: bool = False) -> bool:
    """Choose the launch configurations of Triton kernels; return False for other modules.

    Args:
        module: the module of a case.
        subject: the network.
        again: discard what was chosen while other processes used the GPU.
    """
    if type(module).__name__ != "TritonEsrgan" or subject.device.type != "cuda":
        return False
    from restore.optimize import triton_conv  # noqa: PLC0415 - Triton is optional

    if again:
        triton_conv.BEST_CONFIGS.clear()
    module.autotune(subject.inputs[0])  # type: ignore[operator] # of TritonEsrgan
    if again:
        print(f"{subject.network.name}: {triton_conv.BEST_CONFIGS}", flush=True)
    return True


def _describe(error: Exception) -> str:
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line}"[:MAX_ERROR_CHARACTERS]


class Floors:
    """The least time of a network in each precision, for arithmetic only.

    A compiler may write less to memory than the modules of a network do: memory is not counted.

    Args:
        subject: the network, whose work is counted.
        gflops: measured peak of the device by precision.
    """

    def __init__(self, subject: Subject, gflops: Mapping[str, float]) -> None:
        self._gflops = gflops
        self._macs = count(subject.reference, subject.inputs).macs

    def of(self, precision: str, ms: float) -> dict[str, Any]:
        """Return the floor, and its share of a measured time."""
        dtype = precision.rpartition("+")[2]
        gflops = self._gflops["float32" if dtype == "tf32" else dtype]
        floor_ms = 2000 * self._macs / (gflops * 1e9)
        return {
            "gmacs": round(self._macs / 1e9, 1),
            "floor_ms": round(floor_ms, 3),
            "percent_of_floor": round(100 * floor_ms / ms, 1),
        }


def append_row(row: dict[str, Any], path: Path, device: torch.device) -> None:
    """Append a row to a file and print it."""
    with path.open("a") as rows:
        rows.write(json.dumps(row | {"device": device_name(device), **machine()}) + "\n")
    print(line_of(row), flush=True)


def line_of(row: Mapping[str, Any]) -> str:
    """Return a row as one line of text."""
    head = f"{row['network']:28} {row['precision']:17} {row['engine']:16}"
    if "error" in row:
        return f"{head} failed: {row['error']}"
    targets = (each.target_ms for each in TARGETS if each.network == row["network"])
    target_ms = next(targets, 0.0)
    target = f" (target {target_ms:g})" if target_ms else ""
    codes = f"  codes {row['codes_agree']:.4f}" if "codes_agree" in row else ""
    return (
        f"{head} {row['ms'] / row['batch']:8.3f} ms{target}  first call {row['first_call_s']:.1f} s"
        f"  error {row['relative_error']:.2g}  PSNR {row['psnr_db']:.1f} dB{codes}"
        f"  {row['percent_of_floor']} % of the floor{'' if row['finite'] else '  NOT FINITE'}"
    )


def device_name(device: torch.device) -> str:
    """Return the product name of a GPU, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
