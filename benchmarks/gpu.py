"""Measure networks, requests, a real Cog server and its setup on a GPU.

    python -m benchmarks.gpu --minutes 2
    python -m benchmarks.gpu --part requests --minutes 3
    python -m benchmarks.gpu --part setup
    python -m benchmarks.gpu --part server

The part `requests` runs every task in each profile and mode, with quality against baseline and
safe, and compares pixels on the device with pixels on the host. `setup` measures the start of a
server with all tasks. Both append to results/gpu_requests.jsonl. The part `nets` prepares all
networks at the same time, each in its own process, and times those that are ready after
`--minutes`. Each row is appended to `--rows` as soon as it is measured. Rows that are already there
are not measured again, so that an interrupted run can be continued. With `--device cpu --small` all
parts run in a few minutes on a CPU, as a test of the benchmark.

Networks without an official file have recipe-made weights, which take the same time. Quality is the
distance to the float32 output of the library's network: PSNR with the value range of that output as
peak, and the share of equal codes.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import add_port_option, add_weights_option, comma_separated
from benchmarks.gpu_cases import CPU_ROUNDS, ROUNDS, TARGETS, Target, cases
from benchmarks.gpu_workers import (
    Settings,
    measure_in_process,
    measure_in_workers,
    run_worker,
)
from benchmarks.rows import RESULTS
from restore.errors import RestoreError
from restore.runtime.device import select_device

PHOTOS = tuple(sorted((Path(__file__).resolve().parent.parent / "data").glob("?.jpg")))[:4]
DEFAULT_ROUNDS = "0,1,2,3,4,5"


def measure_nets(options: argparse.Namespace, settings: Settings) -> None:
    """Measure the chosen networks."""
    targets = [each for each in TARGETS if not options.only or each.network in options.only]
    if options.small:
        targets = [Target(each.small, 0.0, "", each.precisions) for each in targets if each.small]
    if settings.device.type == "cuda":
        rounds = [ROUNDS[int(index)] for index in comma_separated(options.rounds)]
        measure_in_workers(list(cases(targets, rounds)), settings, options.minutes)
        return
    ends_s = time.monotonic() + 60 * options.minutes
    measure_in_process(
        list(cases(targets, CPU_ROUNDS)), settings, lambda: ends_s - time.monotonic()
    )


def measure_server(options: argparse.Namespace) -> int:
    """Run the benchmarks of a Cog server; return the larger of their exit codes."""
    # The part `nets` also runs on machines that cannot start a server.
    from benchmarks import bench_single_image, run_bench  # noqa: PLC0415

    shared = ["--task", "face_restore", "--profiles", "max_speed", "--weights", options.weights]
    repeats = 1 if options.small else options.repeats
    shared += ["--port", str(options.port), "--repeats", str(repeats)]
    os.environ["RESTORE_DEVICE"] = options.device  # of the server
    print("one photo with one face (target: p50 20 ms)")
    failed = bench_single_image.main([*shared, "--warmup", "1" if options.small else "3"])
    print("four photos per request (target: 80 photos per second)")
    batch = ["--images", *map(str, PHOTOS), "--batch-size", "4"]
    batch += ["--stability-mode", "optimized"]
    batch += [] if options.small else ["--record"]
    return max(failed, run_bench.main([*shared, *batch]))


def measure_in_time(options: argparse.Namespace, device: torch.device) -> None:
    """Measure requests or the setup; start nothing after `--minutes`."""
    from benchmarks.gpu_requests import measure_requests, measure_setup  # noqa: PLC0415 - as above
    from restore import Restorer  # noqa: PLC0415

    ends_s = time.monotonic() + 60 * options.minutes
    path = options.rows or RESULTS / "gpu_requests.jsonl"

    def seconds_left() -> float:
        return float(ends_s - time.monotonic())

    if options.part == "setup":
        measure_setup(path, device, options.weights, seconds_left, small=options.small)
        return
    restorer = Restorer(weights=options.weights, device=options.device)
    measure_requests(restorer, path, seconds_left, small=options.small)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, 1 if a request failed, 2 without the device."""
    options = _parser().parse_args(arguments)
    try:
        device = select_device(options.device)
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.part == "server":
        return min(measure_server(options), 1)
    if options.part in {"requests", "setup"}:
        measure_in_time(options, device)
        return 0
    torch.backends.cudnn.benchmark = device.type == "cuda"
    settings = Settings(
        device, options.rows or RESULTS / "gpu.jsonl", options.profile, options.folder
    )
    if options.part == "worker":
        run_worker(options.only[0], options.cases, settings)
    else:
        measure_nets(options, settings)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--part", default="nets", choices=["nets", "requests", "setup", "server", "worker"])
    add("--device", default="cuda")
    add("--minutes", type=float, default=2.0, help="time to prepare the networks (CPU: in total)")
    add("--rows", type=Path, help="default: gpu.jsonl or gpu_requests.jsonl in results/")
    add("--small", action="store_true", help="measure little, as a test on a CPU")
    add("--only", type=comma_separated, default=(), metavar="A,B", help="networks to measure")
    add(
        "--rounds",
        default=DEFAULT_ROUNDS,
        metavar="I,J",
        help=f"indices into ROUNDS of gpu_cases.py, on CUDA (default: {DEFAULT_ROUNDS})",
    )
    add("--profile", action="store_true", help="print the kernels of each network's first row")
    add("--repeats", type=int, default=20, help="requests to measure (default: 20)")
    add("--folder", type=Path, default=Path(), help=argparse.SUPPRESS)
    add("--cases", default="", help=argparse.SUPPRESS)
    add_weights_option(parser)
    add_port_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
