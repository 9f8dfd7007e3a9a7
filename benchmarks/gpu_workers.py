"""Runs the cases of the GPU benchmark: in this process, or in one process for each network.

Compilation takes 20 to 73 s for each network. In processes of their own, all networks compile at
the same time; afterwards they are timed one after another, while the other processes wait.
"""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.floors import measure_peaks
from benchmarks.gpu_cases import DTYPES, Case, has_kernels, measured_cases
from benchmarks.gpu_nets import (
    Floors,
    PreparedCase,
    append_row,
    device_name,
    measure,
    prepare,
)
from benchmarks.gpu_subject import Subject

CPU_PEAK_S = 0.02
CUDA_PEAK_S = 0.15
PROFILED_CALLS = 3
MAX_KERNELS = 9
_POLL_S = 0.1


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Attributes:
        device: the device to measure.
        rows: file to which rows are appended; cases in it are not measured again.
        profile: print the kernels of each network's first case.
        folder: in a worker, the folder in which the processes wait for each other.
    """

    device: torch.device
    rows: Path
    profile: bool = False
    folder: Path = Path()


def measure_in_process(
    cases: Sequence[Case], settings: Settings, seconds_left: Callable[[], float]
) -> None:
    """Measure in this process, one network after another."""
    missing = _unmeasured(cases, settings)
    peaks: dict[str, float] = {}
    for name in dict.fromkeys(case.network for case in missing):
        if seconds_left() < 0:
            print(f"{name}: not measured, no time left")
            continue
        peaks = peaks or _peaks(settings.device, ("float32", "bfloat16"), CPU_PEAK_S)
        subject = Subject(name, settings.device)
        floors = Floors(subject, peaks)
        for case in missing:
            if case.network == name:
                row = measure(subject, prepare(subject, case), floors)
                append_row(row, settings.rows, settings.device)


def measure_in_workers(cases: Sequence[Case], settings: Settings, minutes: float) -> None:
    """Measure with one process for each network; those not ready after `minutes` are ended."""
    folder = Path(tempfile.mkdtemp())
    peaks = _peaks(settings.device, ("float32", "float16", "bfloat16"), CUDA_PEAK_S)
    (folder / "peaks.json").write_text(json.dumps(peaks))
    groups: dict[tuple[str, bool], list[Case]] = {}
    for case in _unmeasured(cases, settings):
        groups.setdefault(_process_key(case), []).append(case)
    workers = [_start_worker(group, settings, folder) for group in groups.values()]
    until_s = time.monotonic() + 60 * minutes
    while time.monotonic() < until_s and _waiting(folder) < _running(workers):
        time.sleep(_POLL_S)
    late = [worker for worker in workers if not (folder / f"ready-{worker.pid}").exists()]
    for worker in late:
        worker.kill()
    print(f"{len(workers) - len(late)} processes are ready, {len(late)} are not", flush=True)
    (folder / "start").touch()
    for worker in workers:
        worker.wait()


def run_worker(name: str, pairs: str, settings: Settings) -> None:
    """Prepare the cases of one network, wait for the other processes, then measure.

    Args:
        name: the network.
        pairs: `precision,engine` of each case, separated by semicolons.
        settings: settings of the run.
    """
    device, folder = settings.device, settings.folder
    subject = Subject(name, device)
    floors = Floors(subject, json.loads((folder / "peaks.json").read_text()))
    prepared: list[PreparedCase] = []
    for pair in pairs.split(";"):
        precision, _, engine = pair.partition(",")
        prepared.append(prepare(subject, Case(name, precision, engine)))
        facts = prepared[-1].facts
        print(f"{name} {precision} {engine}: {facts.get('first_call_s', facts)}", flush=True)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    (folder / f"ready-{os.getpid()}").touch()
    while not (folder / "start").exists():
        time.sleep(_POLL_S)
    with _exclusive(folder / "lock"):
        for each in prepared:
            append_row(measure(subject, each, floors), settings.rows, device)
        if settings.profile and prepared[0].call is not None:
            print(kernel_times(prepared[0].call, name, device), flush=True)
        if device.type == "cuda":
            torch.cuda.synchronize()


def kernel_times(call: Callable[[], Any], title: str, device: torch.device) -> str:
    """Return the kernels in which a call spends most of its time, one on each line."""
    cuda = device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CPU]
    activities += [torch.profiler.ProfilerActivity.CUDA] if cuda else []
    profiler = torch.profiler.profile(activities=activities, acc_events=True)
    with torch.inference_mode(), profiler as profile:
        for _ in range(PROFILED_CALLS):
            call()
        if cuda:
            torch.cuda.synchronize()
    totals: dict[str, list[float]] = {}
    for event in profile.events() or []:
        if not cuda or str(event.device_type).endswith("CUDA"):
            time_us = event.device_time if cuda else event.cpu_time
            entry = totals.setdefault(event.name, [0.0, 0.0])
            entry[0] += time_us / (1000 * PROFILED_CALLS)
            entry[1] += 1 / PROFILED_CALLS
    largest = sorted(totals.items(), key=lambda item: -item[1][0])[:MAX_KERNELS]
    lines = [f"{ms:8.3f} ms {calls:6.1f} x  {name[:100]}" for name, (ms, calls) in largest]
    total_ms = sum(ms for ms, _ in totals.values())
    return "\n".join([f"{title}: {total_ms:.3f} ms in kernels", *lines])


def _unmeasured(cases: Sequence[Case], settings: Settings) -> list[Case]:
    measured = measured_cases(settings.rows, device_name(settings.device))
    return [case for case in cases if case not in measured]


def _peaks(device: torch.device, names: Sequence[str], seconds: float) -> dict[str, float]:
    return {name: measure_peaks(device, DTYPES[name], seconds).gflops for name in names}


def _process_key(case: Case) -> tuple[str, bool]:
    """Group cases into processes: compiled cases of networks with kernels have their own.

    Their compilation may take too long, and would then end the cases with kernels too.
    """
    return case.network, case.engine.startswith("compiled") and has_kernels(case.network)


def _start_worker(
    cases: Sequence[Case], settings: Settings, folder: Path
) -> subprocess.Popen[bytes]:
    pairs = ";".join(f"{case.precision},{case.engine}" for case in cases)
    command = [sys.executable, "-m", "benchmarks.gpu", "--part", "worker"]
    command += ["--device", str(settings.device), "--rows", str(settings.rows.resolve())]
    command += ["--folder", str(folder), "--only", cases[0].network, "--cases", pairs]
    command += ["--profile"] if settings.profile else []
    return subprocess.Popen(command, cwd=Path(__file__).resolve().parents[1])


def _waiting(folder: Path) -> int:
    return len(list(folder.glob("ready-*")))


def _running(workers: Sequence[subprocess.Popen[bytes]]) -> int:
    return sum(worker.poll() is None for worker in workers)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
