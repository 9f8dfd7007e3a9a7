"""Measure the quality of profiles and stability modes, and count compilations during requests.

    python benchmarks/modes.py --record
    python benchmarks/modes.py --long-px 160 --repeats 1 --requests 10

Runs every task on some of data/*.jpg with each profile and mode, and compares the result with that
of baseline and safe on the same weights: PSNR of the worst photo, and seconds. Profiles and modes
run by turns after a warm-up, so that other load on the machine affects all of them alike; seconds
are medians. With the defaults this takes 7 minutes on two cores. Then sends
`--requests` mixed requests (tasks, sizes, profiles, batches drawn from a seed) in one process and
counts recompilations. `--record` appends rows to results/modes.jsonl.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import add_weights_option, count_from
from benchmarks.quality import psnr_db
from benchmarks.rows import machine, record
from restore import Restorer
from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo, open_photo
from restore.optimize.compiler import ENVIRONMENT
from restore.options import COMPILE_BACKENDS
from restore.results import Results

Row = dict[str, object]
Way = tuple[str, str]  # profile and mode

DATA = Path(__file__).resolve().parent.parent / "data"
PORTRAITS = ("1.jpg", "3.jpg", "8.jpg")
MIN_PSNR_DB = {"baseline": 45.0, "fast": 45.0, "max_speed": 38.0}
MODES = ("safe", "optimized")
TRIANGLE = "[[20, 20], [90, 30], [50, 100]]"
MIN_SIDE_PX = 16
MIN_LONG_SIDE_PX, MAX_LONG_SIDE_PX = 48, 960

TASKS: Mapping[str, dict[str, Any]] = {
    "face_restore": {},
    "enhance": {"scale": 2},
    "upscale": {"scale": 2},
    "restore": {},
    "colorize": {},
    "colors": {},
    "old_photo_restore": {"with_scratch": True},
    "inpaint": {"points": TRIANGLE},
    "pipeline": {"steps": "restore,colorize,face_restore,upscale", "scale": 2},
}


def compare_modes(restorer: Restorer, photos: Sequence[Photo], repeats: int) -> list[Row]:
    """Return one row for each task, profile and mode, compared with baseline and safe."""
    return [
        row
        for task in tqdm(TASKS, unit="task")
        for row in compare_task(restorer, photos, task, repeats)
    ]


def compare_task(
    restorer: Restorer, photos: Sequence[Photo], task: str, repeats: int
) -> Iterator[Row]:
    """Run a task in each profile and mode by turns; yield a row for each."""
    ways = [(profile, mode) for mode in MODES for profile in MIN_PSNR_DB]
    times_s: dict[Way, list[float]] = {way: [] for way in ways}
    results: dict[Way, Results] = {}
    for repeat, way in itertools.product(range(repeats + 1), ways):
        inputs = {**TASKS[task], "runtime_profile": way[0], "stability_mode": way[1]}
        started_s = time.perf_counter()
        results[way] = restorer.run(task, photos if repeat else photos[:1], **inputs)
        if repeat:
            times_s[way].append(time.perf_counter() - started_s)
    reference, reference_s = results[ways[0]], statistics.median(times_s[ways[0]])
    for way in ways:
        pairs = zip(results[way].photos, reference.photos, strict=True)
        worst_db = min(psnr_db(first.pixels, second.pixels) for first, second in pairs)
        seconds = statistics.median(times_s[way])
        yield {
            "task": task,
            "profile": way[0],
            "mode": way[1],
            "seconds": round(seconds, 2),
            "times_faster": round(reference_s / seconds, 2),
            "worst_psnr_db": round(worst_db, 1) if worst_db < math.inf else "equal",
            "met": worst_db >= MIN_PSNR_DB[way[0]],
            "variant": results[way].reports[0].variant,
            "repeats": repeats,
        }


def count_compilations(restorer: Restorer, photos: Sequence[Photo], count: int, seed: int) -> Row:
    """Run `count` requests of all tasks, sizes, batches and profiles; count compilations."""
    rng = np.random.default_rng(seed)
    tasks, coded_errors, started_s = list(TASKS), 0, time.perf_counter()
    compiled, recompiles = restorer.compiler.compiled, restorer.compiler.recompiles
    for _ in tqdm(range(count), unit="request"):
        task = str(rng.choice(tasks))
        ratio = MAX_LONG_SIDE_PX // MIN_LONG_SIDE_PX
        batch = [
            resized(photos[int(i)], round(MIN_LONG_SIDE_PX * ratio ** rng.random()))
            for i in rng.integers(0, len(photos), int(rng.integers(1, 5)))
        ]
        inputs = {**TASKS[task], "runtime_profile": str(rng.choice(list(MIN_PSNR_DB)))}
        if rng.random() < 0.5:
            inputs["stability_mode"] = "optimized"
        try:
            restorer.run(task, batch, **inputs)
        except RestoreError as error:
            if error.code is not Code.MASK:  # the polygon lies outside of a small photo
                raise
            coded_errors += 1
    return {
        "requests": count,
        "coded_errors": coded_errors,
        "seconds": round(time.perf_counter() - started_s, 1),
        "compiled_beforehand": compiled,
        "compiled_since": restorer.compiler.compiled - compiled,
        "recompiles": restorer.compiler.recompiles - recompiles,
        "seed": seed,
    }


def resized(photo: Photo, long_px: int) -> Photo:
    """Resize a photo to a long side."""
    factor = long_px / max(photo.width, photo.height)
    size = tuple(max(MIN_SIDE_PX, round(factor * px)) for px in (photo.width, photo.height))
    return Photo(photo.name, cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 1 if quality is too low or a request compiled."""
    options = _parser().parse_args(arguments)
    os.environ[ENVIRONMENT] = options.compile_backend
    started_s = time.perf_counter()
    restorer = Restorer(weights=options.weights, preload="all")
    facts: Row = {
        "weights": options.weights,
        "compile_backend": options.compile_backend,
        "device": str(restorer.device),
        **machine(),
        "setup_s": round(time.perf_counter() - started_s, 1),
    }
    photos = [open_photo(DATA / name) for name in PORTRAITS]
    if options.long_px:
        photos = [resized(photo, options.long_px) for photo in photos]
    facts |= {"long_px": max(max(photo.width, photo.height) for photo in photos)}
    rows = compare_modes(restorer, photos, options.repeats)
    for row in rows:
        print(_line(row))
    if options.requests:
        rows.append(count_compilations(restorer, photos, options.requests, options.seed))
        print(rows[-1])
    for row in rows if options.record else ():
        record("modes", row | facts)
    if not all(row.get("met", True) for row in rows):
        print("error: the quality of a profile is below its minimum", file=sys.stderr)
        return 1
    if any(row.get("recompiles") or row.get("compiled_since") for row in rows):
        print("error: a request had to wait for a compilation", file=sys.stderr)
        return 1
    return 0


def _line(row: Row) -> str:
    verdict = "" if row["met"] else "BELOW THE MINIMUM"
    return (
        f"{row['task']:18}{row['profile']:10}{row['mode']:10}{row['seconds']:>8} s"
        f"{row['times_faster']:>6} times faster{row['worst_psnr_db']:>8} dB  {verdict}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_weights_option(parser)
    parser.add_argument("--compile-backend", default="none", choices=COMPILE_BACKENDS)
    parser.add_argument(
        "--long-px", type=int, help="long side of the photos (default: as they are, up to 480)"
    )
    parser.add_argument(
        "--repeats", type=count_from(1), default=3, help="measured requests of each kind"
    )
    parser.add_argument(
        "--requests", type=int, default=60, help="mixed requests after the table; 0 for none"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="append rows to results/modes.jsonl")
    return parser


if __name__ == "__main__":
    sys.exit(main())
