"""Time whole requests against the official order of operations, side by side.

    python benchmarks/against_official.py --requests codeformer,lama
    python benchmarks/against_official.py --requests x4plus --instruction-set avx2

Each request runs in two processes by turns: the official order (official.py), and this project in
the mode `optimized` on the CPU. Both are warm, use the same recipe-made weights (which cost what
the official weights cost) and read and write no files. A face detector runs for its cost; a known
face replaces its result. This project applies the official rules of pixels here, so that results
can be compared: it is an error if over 0.1 % of the samples differ by more than one grey level.

`--record` appends rows to results/against_official.jsonl, `--plot FILE` draws them.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import instruction_sets
from benchmarks.arguments import comma_separated
from benchmarks.official_cases import CASES, Case, model_of, requests_of
from benchmarks.rows import machine, record

Array = np.ndarray
MAX_SHARE_ABOVE_ONE_LEVEL = 1e-3
SIDES = ("official", "ours")


def serve_request(case: Case, side: str, threads: int, messages: Connection) -> None:
    """Run one side of a case for each message; send its seconds, its stages and the result.

    This is the main function of a process.
    """
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        request = requests_of(case, model_of(case, Path(folder)))[side]
        while messages.recv():
            started_s = time.perf_counter()
            result = request()
            messages.send((time.perf_counter() - started_s, request.stages_ms, result))


@contextmanager
def process_of(case: Case, side: str, threads: int) -> Iterator[Connection]:
    """Run one side in a process of its own: memory that one frees would make the other faster."""
    context = multiprocessing.get_context("spawn")
    parent, child = context.Pipe()
    process = context.Process(target=serve_request, args=(case, side, threads, child), daemon=True)
    process.start()
    child.close()
    try:
        yield parent
        parent.send(False)
        process.join()
    finally:
        process.kill()


def measured(case: Case, repeats: int, threads: int) -> dict[str, Any]:
    """Measure both sides by turns, `repeats` times after one warm-up, and compare their results."""
    times_s: dict[str, list[float]] = {side: [] for side in SIDES}
    results: dict[str, Array] = {}
    with ExitStack() as stack:
        processes = {side: stack.enter_context(process_of(case, side, threads)) for side in SIDES}
        for repeat in range(repeats + 1):
            for side, process in processes.items():
                process.send(True)
                seconds, stages_ms, results[side] = process.recv()
                if repeat or not repeats:
                    times_s[side].append(seconds)
    difference = np.abs(results["official"].astype(int) - results["ours"])
    medians = {side: statistics.median(values) for side, values in times_s.items()}
    share = float((difference > 1).mean())
    return {
        "request": case.name,
        "megapixels": case.megapixels,
        "official_s": round(medians["official"], 2),
        "ours_s": round(medians["ours"], 2),
        "times_faster": round(medians["official"] / medians["ours"], 2),
        "wanted": case.target,
        "most_levels_apart": int(difference.max()),
        "share_above_one_level": share,
        "equal": share <= MAX_SHARE_ABOVE_ONE_LEVEL,
        "ours_stages_ms": {name: round(ms) for name, ms in stages_ms.items()},
        "repeats": repeats,
        "weights": "recipe",
        "precision": "float32",
    }


def plot(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Draw how many times faster each request is, and its target, as a PNG."""
    pyplot = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(8, 0.5 * len(rows) + 1.2), layout="constrained")
    names = [f"{row['request']}  ({row['official_s']} s -> {row['ours_s']} s)" for row in rows]
    axes.barh(names, [row["times_faster"] for row in rows], color="#3b7dd8", label="measured")
    targets = [row["wanted"] for row in rows]
    axes.scatter(targets, names, marker="|", s=300, color="black", zorder=3, label="target")
    axes.axvline(1.0, color="grey", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("times faster than the official order, same weights, same result")
    axes.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 1 if a result differs from the official one."""
    parser = _parser()
    options = parser.parse_args(arguments)
    instruction_sets.restart_limited(options.instruction_set)
    known = [case.name for case in CASES]
    if unknown := set(options.requests) - set(known):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(known)}")
    cases = [case for case in CASES if case.name in (options.requests or known)]
    if options.megapixels:
        cases = [dataclasses.replace(case, megapixels=options.megapixels) for case in cases]
    rows = []
    facts = {"threads": options.threads, **machine()}
    for case in tqdm(cases, unit="request"):
        row = measured(case, options.repeats, options.threads)
        rows.append(row)
        tqdm.write(_line(row))
        if options.record and row["equal"]:
            record("against_official", row | facts)
    if options.plot:
        plot(rows, options.plot)
    if unequal := [str(row["request"]) for row in rows if not row["equal"]]:
        print(
            f"error: the result differs from the official one: {', '.join(unequal)}",
            file=sys.stderr,
        )
        return 1
    return 0


def _line(row: Mapping[str, object]) -> str:
    return (
        f"{row['request']:14} official {row['official_s']:>7} s   ours {row['ours_s']:>7} s   "
        f"{row['times_faster']:>5} times faster (target {row['wanted']})   "
        f"largest difference {row['most_levels_apart']} levels   {row['ours_stages_ms']}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--requests",
        type=comma_separated,
        default=(),
        metavar="A,B",
        help=f"default: {','.join(case.name for case in CASES)}",
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="after one warm-up; 0 measures the first call"
    )
    parser.add_argument(
        "--megapixels", type=float, help="size of the photos (default: 0.5 or 1, by request)"
    )
    instruction_sets.add_option(parser)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--record", action="store_true", help="append rows to results/against_official.jsonl"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    return parser


if __name__ == "__main__":
    sys.exit(main())
