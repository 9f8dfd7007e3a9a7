"""Measures whole requests in each profile and mode, and the time of a server's setup."""

from __future__ import annotations

import copy
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu_nets import device_name
from benchmarks.modes import TASKS, resized
from benchmarks.quality import psnr_db
from benchmarks.rows import machine
from restore import Restorer
from restore.imaging.photo import Photo, open_photo
from restore.results import Results
from restore.runtime.transfers import recorded_transfers

Row = dict[str, Any]

DATA = Path(__file__).resolve().parent.parent / "data"
PHOTOS = tuple(sorted(DATA.glob("?.jpg")))[:4]
SMALL_TASKS = ("face_restore", "upscale", "colorize")
SMALL_LONG_SIDE_PX, SMALL_FACE_LONG_SIDE_PX = 96, 320
"""Long sides of photos for a small run; dlib needs the larger one to find a face."""
CALLS, SMALL_CALLS = 10, 1
BACKENDS = ("", "none", "inductor")
"""Values of RESTORE_COMPILE_BACKEND for the setup; "" is not set."""
SETUP_CODE = (
    "import sys, time; from restore import Restorer; started_s = time.perf_counter(); "
    "Restorer(weights=sys.argv[1], device=sys.argv[2], preload=sys.argv[3]); "
    "print(time.perf_counter() - started_s, time.process_time())"
)


@dataclass(frozen=True)
class RequestCase:
    """One kind of request; `pixels` is where photos are between networks: device or host."""

    task: str
    profile: str
    mode: str
    photos: int
    pixels: str


def request_cases(*, small: bool) -> Iterator[RequestCase]:
    """Yield the kinds of requests, the most important first.

    Pixels on the host are measured for comparison, in `optimized` requests with one photo.
    """
    tasks = SMALL_TASKS if small else tuple(TASKS)
    for task in tasks:
        for mode in ("optimized", "safe"):
            for profile in ("max_speed", "fast", "baseline"):
                for photos in (1,) if small else (1, 4):
                    if profile != "baseline":
                        yield RequestCase(task, profile, mode, photos, "device")
                    if profile == "baseline" or (mode == "optimized" and photos == 1):
                        yield RequestCase(task, profile, mode, photos, "host")


def measure_requests(
    restorer: Restorer, path: Path, seconds_left: Callable[[], float], *, small: bool
) -> None:
    """Append a row for each kind of request that the file does not contain yet."""
    photos = [open_photo(each) for each in PHOTOS]
    with_faces = photos
    if small:
        with_faces = [resized(each, SMALL_FACE_LONG_SIDE_PX) for each in photos]
        photos = [resized(each, SMALL_LONG_SIDE_PX) for each in photos]
    device = device_name(restorer.device)
    measured = {_key(row) for row in _rows(path) if "ms" in row}
    references: dict[tuple[str, int], Sequence[Photo]] = {}
    for case in request_cases(small=small):
        facts = asdict(case) | {"device": device, "weights": str(restorer.policy)}
        if _key(facts) in measured:
            continue
        if seconds_left() < 0:
            print(f"{case}: not measured, no time left")
            continue
        key = (case.task, case.photos)
        inputs = (with_faces if case.task == "face_restore" else photos)[: case.photos]
        if key not in references:
            references[key] = restorer.run(case.task, inputs, **TASKS[case.task]).photos
        row = facts | _measure(restorer, case, inputs, references[key], small=small) | machine()
        _append(row, path)


def _measure(
    restorer: Restorer,
    case: RequestCase,
    photos: Sequence[Photo],
    reference: Sequence[Photo],
    *,
    small: bool,
) -> Row:
    """Return times, quality against baseline and safe, and facts of the report; or an error.

    For pixels on the device, `near_host` is the share of samples that differ by at most one level
    of 255 from those of the same request with pixels on the host.
    """
    on_host = with_pixels_on(restorer, ())
    types = (restorer.device.type,) if case.pixels == "device" else ()
    restorer = with_pixels_on(restorer, types)
    inputs = {**TASKS[case.task], "runtime_profile": case.profile, "stability_mode": case.mode}
    times_ms = []
    try:
        started_s = time.perf_counter()
        results = restorer.run(case.task, photos, **inputs)
        first_s = time.perf_counter() - started_s
        for _ in range(SMALL_CALLS if small else CALLS):
            started_s = time.perf_counter()
            with recorded_transfers() as transfers:
                results = restorer.run(case.task, photos, **inputs)
            times_ms.append(1000 * (time.perf_counter() - started_s))
        compared = {}
        if case.pixels == "device":
            expected = on_host.run(case.task, photos, **inputs).photos
            compared = {"near_host": near_share(results.photos, expected)}
    except Exception as error:  # noqa: BLE001 - the other requests are still measured
        return {"error": f"{type(error).__name__}: {str(error)[:300]}"}
    return {
        "ms": round(statistics.median(times_ms), 2),
        "first_s": round(first_s, 2),
        "photos_per_s": round(1000 * case.photos / statistics.median(times_ms), 2),
        "uploaded_bytes": transfers.uploads,
        "downloaded_bytes": transfers.downloads,
        **compared,
        **_facts(results, reference),
    }


def _facts(results: Results, reference: Sequence[Photo]) -> Row:
    """Return the quality against a reference, and facts of the first report."""
    pairs = zip(results.photos, reference, strict=True)
    worst_db = min(psnr_db(first.pixels, second.pixels) for first, second in pairs)
    report = results.reports[0]
    return {
        "worst_psnr_db": round(min(worst_db, 200.0), 1),
        "precision": report.precision,
        "recompiles": report.recompiles,
        "profile_effects": report.profile_effects,
        "stages_ms": report.stages_ms,
        "warnings": report.warnings,
    }


def with_pixels_on(restorer: Restorer, types: Sequence[str]) -> Restorer:
    """Return a Restorer with the same networks that keeps pixels on devices of these types."""
    copied = copy.copy(restorer)
    copied.pixel_devices = frozenset(types)
    return copied


def near_share(photos: Sequence[Photo], expected: Sequence[Photo]) -> float:
    """Return the smallest share, over the photos, of samples within one level of 255."""
    shares = []
    for photo, wanted in zip(photos, expected, strict=True):
        difference = np.abs(photo.pixels.astype(np.int64) - wanted.pixels)
        shares.append(float((difference <= np.iinfo(photo.pixels.dtype).max // 255).mean()))
    return round(min(shares), 6)


def measure_setup(
    path: Path,
    device: torch.device,
    weights: str,
    seconds_left: Callable[[], float],
    *,
    small: bool,
) -> None:
    """Append the time of a setup of all tasks, in a new process, without and with a compiler.

    `cpu_s` is the CPU time of the whole process with its imports; `setup_s` starts after them.
    """
    preload = "upscale" if small else "all"
    measured = {_key(row) for row in _rows(path) if "setup_s" in row}
    for backend in BACKENDS[:2] if small else BACKENDS:
        facts: Row = {"setup": preload, "compile_backend": backend, "weights": weights}
        facts["device"] = device_name(device)
        if _key(facts) in measured:
            continue
        if seconds_left() < 0:
            print(f"setup with '{backend}': not measured, no time left")
            continue
        command = [sys.executable, "-c", SETUP_CODE, weights, str(device), preload]
        done = subprocess.run(
            command,
            cwd=DATA.parent,
            env={**os.environ, "RESTORE_COMPILE_BACKEND": backend},
            capture_output=True,
            text=True,
            check=False,
        )
        outcome: Row = {"error": done.stderr.strip()[-300:]}
        if not done.returncode:
            seconds = [round(float(each), 2) for each in done.stdout.split()[-2:]]
            outcome = dict(zip(("setup_s", "cpu_s"), seconds, strict=True))
        _append(facts | outcome | machine(), path)


def _key(row: Row) -> tuple[object, ...]:
    names = (
        "task",
        "profile",
        "mode",
        "photos",
        "pixels",
        "setup",
        "compile_backend",
        "weights",
        "device",
    )
    return tuple(row.get(name) for name in names)


def _rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _append(row: Row, path: Path) -> None:
    with path.open("a") as rows:
        rows.write(json.dumps(row) + "\n")
    hidden = {"stages_ms", "profile_effects"}
    print({name: value for name, value in row.items() if name not in hidden}, flush=True)
