"""Time of one forward of every network, by engine and precision: `python -m benchmarks.nets --nets lite-faces --engines default,inductor`.

Prints a row for each network, engine and precision, and adds them to results/nets.jsonl with `--record`. All of one network are called
in turn (A B C A B C ...), so that what else the machine does falls on all alike; times are medians. Freed memory is kept for all of them,
as it is in a request (restore/heap.py). Each row carries the largest difference from the float32 result in the default layout, relative to
that result's largest value, and how much of the time the floor is (see floors.py). An engine that fails or is not installed has a row that
says so.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.engines import ENGINES, Call, SkippedError
from benchmarks.floors import (
    DTYPES,
    Floor,
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
from restore.runtime.allocator import HEAP
from restore.runtime.device import select_device

Row = dict[str, object]


@dataclass
class Runner:
    """One engine at one precision: its call, and what came of it so far."""

    engine: str
    dtype: str
    first_call_s: float = 0.0
    call: Call | None = None
    failure: Row = field(default_factory=dict)
    times_s: list[float] = field(default_factory=list)
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
    """The rows of one network: one for each precision and engine.

    Args:
        peaks: of the device, by precision; one that is missing leaves the floor out.
        fatal: precisions that are not to be tried, and why.
    """
    facts: Row = {"net": network.row.id, "side_px": network.side_px, "batch": network.batch}
    try:
        it = ready(network)
    except (MissingError, RestoreError) as error:
        return [facts | {"skipped": str(error)}]
    work = count_network(network)
    with torch.inference_mode():
        it = Ready(
            it.module.to(device), tuple(tensor.to(device) for tensor in it.inputs), it.weights
        )
        expected = list(tensors_in(it.module(*it.inputs)))
    runners = [
        Runner(engine, dtype, failure={"skipped": fatal[dtype]})
        if dtype in fatal
        else prepared(it, engine, dtype, expected)
        for dtype in dtypes
        for engine in engines
    ]
    for _ in range(repeats):
        for runner in runners:
            _timed_once(runner, device)
    facts |= {
        "weights": it.weights,
        "gmacs": round(work.macs / 1e9, 2),
        "mparams": round(work.parameters / 1e6, 2),
    }
    torch.compiler.reset()  # programs of this network are of no use to the next
    return [facts | _row(runner, work, peaks.get(runner.dtype)) for runner in runners]


def prepared(it: Ready, engine: str, dtype: str, expected: Sequence[Tensor]) -> Runner:
    """An engine after its first call, with that call's distance from what is expected; whatever it raises is its row's text."""
    runner = Runner(engine, dtype)
    started_s = time.perf_counter()
    try:
        module, inputs = it.module, it.inputs
        if DTYPES[dtype] != torch.float32:
            module = _of_dtype(module, DTYPES[dtype])
            inputs = tuple(tensor.to(DTYPES[dtype]) for tensor in inputs)
        runner.call = ENGINES[engine](module, inputs)
        runner.first_call_s = time.perf_counter() - started_s
        runner.error = relative_error(runner.call(), expected)
    except SkippedError as reason:
        runner.failure = {"skipped": str(reason)}
    except Exception as error:  # noqa: BLE001 - one engine's failure is a result, not the end of the others
        runner.call, runner.failure = None, {"error": _in_a_line(error)}
    return runner


def relative_error(answer: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest difference over the largest expected value, of the worst of a network's outputs.

    Raises:
        ValueError: other shapes than expected, or NaN or infinity among the values.
    """
    if [tensor.shape for tensor in answer] != [tensor.shape for tensor in expected]:
        raise ValueError(
            f"answers with {[tuple(t.shape) for t in answer]}, not {[tuple(t.shape) for t in expected]}"
        )
    worst = 0.0
    for tensor, reference in zip(answer, expected, strict=True):
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError("answers with NaN or infinity")
        difference = float(
            (tensor.to(reference.device, torch.float32) - reference.float()).abs().max()
        )
        worst = max(worst, difference / max(float(reference.abs().max()), 1e-12))
    return worst


def _of_dtype(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    return copy.deepcopy(module).to(dtype)


def _timed_once(runner: Runner, device: torch.device) -> None:
    if runner.call is None:
        return
    try:
        runner.times_s.append(timed(runner.call, device))
    except Exception as error:  # noqa: BLE001 - as above
        runner.call, runner.failure = None, {"error": _in_a_line(error)}


def _row(runner: Runner, work: Work, peaks: Peaks | None) -> Row:
    row: Row = {"engine": runner.engine, "dtype": runner.dtype}
    if runner.failure:
        return row | runner.failure
    median_s = statistics.median(runner.times_s)
    floor: Floor | None = floor_of(work, peaks, DTYPES[runner.dtype].itemsize) if peaks else None
    return row | {
        "ms": round(1000 * median_s, 2),
        "fastest_ms": round(1000 * min(runner.times_s), 2),
        "first_call_s": round(runner.first_call_s, 2),
        "largest_error": float(f"{runner.error:.2g}"),
        "floor_ms": round(1000 * floor.seconds, 2) if floor else None,
        "percent_of_floor": round(100 * floor.seconds / median_s, 1) if floor else None,
        "peak_gflops": round(peaks.gflops) if peaks else None,
        "peak_gb_per_s": round(peaks.gb_per_s, 1) if peaks else None,
    }


def _in_a_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"[:200]


def _line(row: Row) -> str:
    name = f"{row['net']}@{row['side_px']}x{row['batch']}"
    head = f"{name:36}{row.get('dtype', ''):10}{row.get('engine', ''):20}"
    if reason := row.get("skipped") or row.get("error"):
        return f"{head}{'skipped' if 'skipped' in row else 'failed'}: {reason}"
    share: Any = row["percent_of_floor"]
    return f"{head}{row['ms']:>10}{'' if share is None else share:>9}{row['largest_error']:>10}{row['first_call_s']:>9}  {row['weights']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--nets",
        type=_names,
        default=(),
        metavar="A,B",
        help="row ids of weights/manifest.toml, id@side or id@sidexbatch; all unless named",
    )
    parser.add_argument(
        "--engines",
        type=_names,
        default=("default", "channels_last"),
        metavar="A,B",
        help=f"of {', '.join(ENGINES)}",
    )
    parser.add_argument(
        "--dtypes", type=_names, default=("float32",), metavar="A,B", help=f"of {', '.join(DTYPES)}"
    )
    parser.add_argument("--device", default=None, help="cpu, cuda, ...; CUDA where there is one")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--record", action="store_true", help="add the rows to results/nets.jsonl")
    args = parser.parse_args()
    for given, known in ((args.engines, ENGINES), (args.dtypes, DTYPES)):
        if unknown := set(given) - set(known):
            parser.error(f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    if args.repeats < 1:
        parser.error("--repeats: at least 1")
    try:
        chosen = networks(args.nets)
    except RestoreError as error:
        parser.error(str(error))
    torch.set_num_threads(args.threads)
    full_precision()
    device = select_device(args.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    where: Row = {"device": name, "threads": args.threads, "repeats": args.repeats, **machine()}
    fatal = {
        dtype: reason
        for dtype in args.dtypes
        if (reason := fatal_arithmetic(device, DTYPES[dtype]))
    }
    peaks = {
        dtype: measure_peaks(device, DTYPES[dtype]) for dtype in args.dtypes if dtype not in fatal
    }
    for dtype, peak in peaks.items():
        print(
            f"{name}, {dtype}, {args.threads} threads: {peak.gflops:.0f} GFLOP/s, {peak.gb_per_s:.1f} GB/s"
        )
    print(
        f"{'network':36}{'dtype':10}{'engine':20}{'ms':>10}{'% floor':>9}{'error':>10}{'first s':>9}  weights"
    )
    for network in chosen:
        load = round(os.getloadavg()[0], 1)  # times beside other work say little
        with HEAP.kept():  # as a request has it
            rows = measured(network, args.engines, args.dtypes, device, args.repeats, peaks, fatal)
        for row in rows:
            print(_line(row), flush=True)
            if args.record:
                record("nets", row | where | {"load_before": load})


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


if __name__ == "__main__":
    main()
