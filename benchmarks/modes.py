"""What profiles and stability modes cost in quality, and whether anything is compiled while a photo waits: `python -m benchmarks.modes`.

Every task on a few of data/*.jpg, with each profile in each mode, against baseline/safe on the same weights: PSNR of the worst photo,
and seconds beside it. Then `--requests` mixed requests (tasks, sizes, profiles, batches, by seed) in one optimized process, whose
recompiles are counted. Adds rows to results/modes.jsonl with `--record`.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from benchmarks.rows import machine, record
from restore import Restorer
from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo, open_photo
from restore.optimize.compiler import ENVIRONMENT
from restore.options import COMPILE_BACKENDS

DATA = Path(__file__).resolve().parent.parent / "data"
PORTRAITS = ("1.jpg", "3.jpg", "8.jpg")
WANTED_DB = {"baseline": 45.0, "fast": 45.0, "max_speed": 38.0}
TRIANGLE = "[[20, 20], [90, 30], [50, 100]]"

TASKS: Mapping[str, dict[str, Any]] = {
    "face_restore": {},
    "enhance": {"scale": 2},
    "upscale": {"scale": 2},
    "restore": {},
    "colorize": {},
    "old_photo_restore": {"with_scratch": True},
    "inpaint": {"points": TRIANGLE},
    "pipeline": {"steps": "restore,colorize,face_restore,upscale", "scale": 2},
}


def psnr_db(first: np.ndarray, second: np.ndarray) -> float:
    """Of 8-bit pictures; infinite where they are equal."""
    mean = float(np.square(first.astype(np.float64) - second).mean())
    return math.inf if mean == 0.0 else 10.0 * math.log10(255.0**2 / mean)


def quality(restorer: Restorer, photos: Sequence[Photo]) -> list[dict[str, object]]:
    """A row for each task, profile and mode but baseline/safe, which the others are measured against."""
    rows = []
    combinations = [(profile, mode) for mode in ("safe", "optimized") for profile in WANTED_DB]
    for task, options in tqdm(TASKS.items(), unit="task"):
        results = {}
        for profile, mode in combinations:
            inputs: dict[str, Any] = {**options, "runtime_profile": profile, "stability_mode": mode}
            restorer.run(task, photos[:1], **inputs)  # warm
            started_s = time.perf_counter()
            results[profile, mode] = (
                restorer.run(task, photos, **inputs),
                time.perf_counter() - started_s,
            )
        (reference, reference_s), *_ = results.values()
        for (profile, mode), (result, spent_s) in results.items():
            worst = min(
                psnr_db(a.pixels, b.pixels)
                for a, b in zip(result.photos, reference.photos, strict=True)
            )
            row = {"task": task, "profile": profile, "mode": mode, "seconds": round(spent_s, 2)}
            row |= {
                "times_faster": round(reference_s / spent_s, 2),
                "worst_psnr_db": round(worst, 1) if worst < math.inf else "equal",
            }
            rows.append(
                row | {"met": worst >= WANTED_DB[profile], "variant": result.reports[0].variant}
            )
    return rows


def mixed(restorer: Restorer, photos: Sequence[Photo], count: int, seed: int) -> dict[str, object]:
    """What torch compiled during `count` requests of all tasks, sizes (48 to 960 px), batches and profiles, half of them optimized."""
    rng = np.random.default_rng(seed)
    tasks, coded, started_s, recompiles = (
        list(TASKS),
        0,
        time.perf_counter(),
        restorer.compiler.recompiles,
    )
    before = restorer.compiler.compiled
    for _ in tqdm(range(count), unit="request"):
        task = str(rng.choice(tasks))
        batch = [
            resized(photos[int(i)], round(48 * 20 ** rng.random()))
            for i in rng.integers(0, len(photos), int(rng.integers(1, 5)))
        ]
        inputs = {**TASKS[task], "runtime_profile": str(rng.choice(list(WANTED_DB)))}
        if rng.random() < 0.5:
            inputs["stability_mode"] = "optimized"
        try:
            restorer.run(task, batch, **inputs)
        except RestoreError as error:
            if error.code is not Code.MASK:  # a polygon outside of a small photo
                raise
            coded += 1
    return {
        "requests": count,
        "coded_errors": coded,
        "seconds": round(time.perf_counter() - started_s, 1),
        "compiled_beforehand": before,
        "compiled_since": restorer.compiler.compiled - before,
        "recompiles": restorer.compiler.recompiles - recompiles,
        "seed": seed,
    }


def resized(photo: Photo, long_px: int) -> Photo:
    """The photo at that long side."""
    factor = long_px / max(photo.width, photo.height)
    size = (max(16, round(photo.width * factor)), max(16, round(photo.height * factor)))
    return Photo(photo.name, cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", default="lite", choices=["lite", "auto", "official"])
    parser.add_argument("--compile-backend", default="none", choices=COMPILE_BACKENDS)
    parser.add_argument(
        "--requests", type=int, default=200, help="mixed requests after the table; 0 for none"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", action="store_true", help="add the rows to results/modes.jsonl")
    args = parser.parse_args()
    os.environ[ENVIRONMENT] = args.compile_backend
    started_s = time.perf_counter()
    restorer = Restorer(weights=args.weights, preload="all")
    where = {
        "weights": args.weights,
        "compile_backend": args.compile_backend,
        "device": str(restorer.device),
        **machine(),
    }
    where["setup_s"] = round(time.perf_counter() - started_s, 1)
    photos = [open_photo(DATA / name) for name in PORTRAITS]
    rows: list[dict[str, object]] = quality(restorer, photos)
    for row in rows:
        print(
            f"{row['task']:18}{row['profile']:10}{row['mode']:10}{row['seconds']:>8} s{row['times_faster']:>6} times faster"
            f"{row['worst_psnr_db']:>8} dB  {'' if row['met'] else 'NOT MET'}"
        )
    if args.requests:
        rows.append(mixed(restorer, photos, args.requests, args.seed))
        print(rows[-1])
    if args.record:
        for row in rows:
            record("modes", row | where)
    if not all(row.get("met", True) for row in rows) or any(
        row.get("recompiles") or row.get("compiled_since") for row in rows
    ):
        raise SystemExit(
            "a profile is below its quality, or something was compiled while a photo waited"
        )


if __name__ == "__main__":
    main()
