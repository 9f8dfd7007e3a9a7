"""Time one forward pass of each network, by engine and precision.

    python benchmarks/nets.py --nets lite-faces,codeformer --engines default,inductor

All engines of a network are called by turns, so that other load on the machine affects all of them
alike; times are medians. `cpu_ms` is the CPU time of all threads, which is comparable on a busy
machine too. Freed memory is kept, as during a request (restore/runtime/allocator.py).
Each row contains the largest difference from the float32 result in the default memory layout,
relative to the largest value of that result, and the floor (see floors.py) as a share of the time.
An engine that fails or is not installed has a row with the reason. `--instruction-set avx2`
measures as on a CPU without AVX-512.

Prints one row per network, engine and precision; `--record` appends them to results/nets.jsonl.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import instruction_sets
from benchmarks.arguments import comma_separated, count_from
from benchmarks.engines import ENGINES, Call, SkippedError
from benchmarks.floors import (
    DTYPES,
    Peaks,
    Work,
    count_network,
    fatal_arithmetic,
    floor_of,
    full_precision,
    measure_peaks,
    tensors_in,
    timed,
)
from benchmarks.networks import MissingError, Network, Ready, networks, ready
from benchmarks.rows import machine, record
from restore.errors import RestoreError
from restore.runtime.allocator import ALLOCATOR
from restore.runtime.device import select_device

Row = dict[str, object]
MAX_ERROR_CHARACTERS = 200
MIN_REFERENCE = 1e-12


@dataclass
class Runner:
    """One engine at one precision: its call and its results so far."""

    engine: str
    dtype: str
    first_call_s: float = 0.0
    call: Call | None = None
    failure: Row = field(default_factory=dict)
    times_s: list[float] = field(default_factory=list)
    cpu_times_s: list[float] = field(default_factory=list)
    error: float | None = None


def measured(
    network: Network,
    engines: Sequence[str],
    dtypes: Sequence[str],
    device: torch.device,
    repeats: int,
    peaks: Mapping[str, Peaks],
    fatal: Mapping[str, str] = MappingProxyType({}),
) -> list[Row]:
    """Measure a network and return one row for each precision and engine.

    Args:
        network: network, size and batch.
        engines: names of ENGINES.
        dtypes: names of DTYPES.
        device: the device to run on.
        repeats: number of measured calls.
        peaks: peaks of the device by precision; without them the row has no floor.
        fatal: precisions that must not be tried, and why.
    """
    facts: Row = {"net": network.row.id, "side_px": network.side_px, "batch": network.batch}
    try:
        prepared = ready(network)
    except (MissingError, RestoreError) as error:
        return [facts | {"skipped": str(error)}]
    work = count_network(network)
    with torch.inference_mode():
        inputs = tuple(tensor.to(device) for tensor in prepared.inputs)
        prepared = Ready(prepared.module.to(device), inputs, prepared.weights)
        expected = list(tensors_in(prepared.module(*inputs)))
    runners = [
        Runner(engine, dtype, failure={"skipped": fatal[dtype]})
        if dtype in fatal
        else start(prepared, engine, dtype, expected)
        for dtype in dtypes
        for engine in engines
    ]
    for _ in range(repeats):
        for runner in runners:
            _time_once(runner, device)
    facts |= {
        "weights": prepared.weights,
        "gmacs": round(work.macs / 1e9, 2),
        "mparams": round(work.parameters / 1e6, 2),
    }
    torch.compiler.reset()  # the next network does not need these programs
    return [facts | _row(runner, work, peaks.get(runner.dtype)) for runner in runners]


def start(prepared: Ready, engine: str, dtype: str, expected: Sequence[Tensor]) -> Runner:
    """Build an engine, call it once and compare its result; its row reports a failure."""
    runner = Runner(engine, dtype)
    started_s = time.perf_counter()
    try:
        module, inputs = prepared.module, prepared.inputs
        if DTYPES[dtype] != torch.float32:
            module = _with_dtype(module, DTYPES[dtype])
            inputs = tuple(tensor.to(DTYPES[dtype]) for tensor in inputs)
        runner.call = ENGINES[engine](module, inputs)
        runner.first_call_s = time.perf_counter() - started_s
        runner.error = relative_error(runner.call(), expected)
    except SkippedError as reason:
        runner.failure = {"skipped": str(reason)}
    except Exception as error:  # noqa: BLE001 - the other engines are measured all the same
        runner.call, runner.failure = None, {"error": _one_line(error)}
    return runner


def relative_error(output: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Return the largest difference relative to the largest expected value, of the worst output.

    Raises:
        ValueError: the shapes differ, or the output contains NaN or infinity.
    """
    if [tensor.shape for tensor in output] != [tensor.shape for tensor in expected]:
        shapes = [[tuple(tensor.shape) for tensor in tensors] for tensors in (output, expected)]
        raise ValueError(f"output shapes are {shapes[0]}, expected {shapes[1]}")
    worst = 0.0
    for tensor, reference in zip(output, expected, strict=True):
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError("the output contains NaN or infinity")
        converted = tensor.to(reference.device, torch.float32)
        difference = float((converted - reference.float()).abs().max())
        worst = max(worst, difference / max(float(reference.abs().max()), MIN_REFERENCE))
    return worst


def _with_dtype(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    return copy.deepcopy(module).to(dtype)


def _time_once(runner: Runner, device: torch.device) -> None:
    if runner.call is None:
        return
    try:
        started_s = time.process_time()
        runner.times_s.append(timed(runner.call, device))
        runner.cpu_times_s.append(time.process_time() - started_s)
    except Exception as error:  # noqa: BLE001 - the other engines are measured all the same
        runner.call, runner.failure = None, {"error": _one_line(error)}


def _row(runner: Runner, work: Work, peaks: Peaks | None) -> Row:
    row: Row = {"engine": runner.engine, "dtype": runner.dtype}
    if runner.failure:
        return row | runner.failure
    median_s = statistics.median(runner.times_s)
    floor = floor_of(work, peaks, DTYPES[runner.dtype].itemsize) if peaks else None
    return row | {
        "ms": round(1000 * median_s, 2),
        "cpu_ms": round(1000 * statistics.median(runner.cpu_times_s), 2),
        "fastest_ms": round(1000 * min(runner.times_s), 2),
        "first_call_s": round(runner.first_call_s, 2),
        "largest_error": float(f"{runner.error:.2g}"),
        "floor_ms": round(1000 * floor.seconds, 2) if floor else None,
        "percent_of_floor": round(100 * floor.seconds / median_s, 1) if floor else None,
        "peak_gflops": round(peaks.gflops) if peaks else None,
        "peak_gb_per_s": round(peaks.gb_per_s, 1) if peaks else None,
    }


def _one_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"[:MAX_ERROR_CHARACTERS]


def _line(row: Row) -> str:
    name = f"{row['net']}@{row['side_px']}x{row['batch']}"
    head = f"{name:36}{row.get('dtype', ''):10}{row.get('engine', ''):20}"
    if reason := row.get("skipped") or row.get("error"):
        return f"{head}{'skipped' if 'skipped' in row else 'failed'}: {reason}"
    share: Any = row["percent_of_floor"]
    return (
        f"{head}{row['ms']:>10}{'' if share is None else share:>9}"
        f"{row['largest_error']:>10}{row['first_call_s']:>9}  {row['weights']}"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = _parser()
    options = parser.parse_args(arguments)
    instruction_sets.restart_limited(options.instruction_set)
    for given, known in ((options.engines, ENGINES), (options.dtypes, DTYPES)):
        if unknown := set(given) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(known)}")
    try:
        chosen = networks(options.nets)
    except RestoreError as error:
        parser.error(str(error))
    torch.set_num_threads(options.threads)
    full_precision()
    for row in _measure_all(chosen, options):
        print(_line(row), flush=True)
        if options.record:
            record("nets", row)


def _measure_all(chosen: Sequence[Network], options: argparse.Namespace) -> Iterator[Row]:
    """Measure the networks and yield their rows with the facts of the machine."""
    device = select_device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    facts: Row = {"device": name, "threads": options.threads, "repeats": options.repeats}
    facts |= machine()
    reasons = {dtype: fatal_arithmetic(device, DTYPES[dtype]) for dtype in options.dtypes}
    fatal = {dtype: reason for dtype, reason in reasons.items() if reason}
    peaks = {
        dtype: measure_peaks(device, DTYPES[dtype])
        for dtype in options.dtypes
        if dtype not in fatal
    }
    for dtype, peak in peaks.items():
        print(f"{name}, {dtype}, {options.threads} threads: ", end="")
        print(f"{peak.gflops:.0f} GFLOP/s, {peak.gb_per_s:.1f} GB/s")
    print(f"{'network':36}{'dtype':10}{'engine':20}{'ms':>10}{'% floor':>9}", end="")
    print(f"{'error':>10}{'first s':>9}  weights")
    for network in chosen:
        # Times on a busy machine are not comparable, so that the load is part of the row.
        load = {"load_before": round(os.getloadavg()[0], 1)}
        with ALLOCATOR.keep_freed_memory():
            rows = measured(
                network, options.engines, options.dtypes, device, options.repeats, peaks, fatal
            )
        yield from (row | facts | load for row in rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--nets",
        type=comma_separated,
        default=(),
        metavar="A,B",
        help="ids of rows in weights/manifest.toml, id@side or id@sidexbatch (default: all)",
    )
    parser.add_argument(
        "--engines",
        type=comma_separated,
        default=("default", "channels_last"),
        metavar="A,B",
        help=f"from {', '.join(ENGINES)}",
    )
    parser.add_argument(
        "--dtypes",
        type=comma_separated,
        default=("float32",),
        metavar="A,B",
        help=f"from {', '.join(DTYPES)}",
    )
    parser.add_argument("--device", default=None, help="cpu, cuda, ... (default: CUDA if present)")
    parser.add_argument("--repeats", type=count_from(1), default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    instruction_sets.add_option(parser)
    parser.add_argument("--record", action="store_true", help="append rows to results/nets.jsonl")
    return parser


if __name__ == "__main__":
    main()
