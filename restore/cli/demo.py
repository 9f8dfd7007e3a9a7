"""`make demo`: restores the sample photos of data/ with the embedded weights and draws what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from restore.errors import Code, RestoreError
from restore.imaging.outputs import make_folder
from restore.imaging.photo import Photo, encode, open_photo, write_atomically
from restore.imaging.sheet import Pair, before_after_sheet
from restore.report import Report
from restore.restorer import Restorer, Results
from restore.runtime.device import Progress

SAMPLES = Path(__file__).resolve().parents[2] / "data"
STEPS: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "portrait": (("face_restore", {}), ("upscale", {"scale": 2})),
    "historic": (("restore", {"strength": 0.8}), ("upscale", {"scale": 2})),
    "noisy": (("restore", {}),),
    "small": (("upscale", {"scale": 4}),),
}
KIND = dict.fromkeys(range(1, 9), "historic") | dict.fromkeys((1, 3, 8), "portrait")
KIND |= {9: "noisy", 10: "noisy", 11: "small", 12: "small"}


def run_demo(folder: Path, progress: Progress) -> Iterator[str]:
    """Restores every sample photo into `folder`: results, one report each, and `sheet.png`. Gives a line to print as each is done.

    Raises:
        RestoreError: PHOTO_MISSING when the samples are not there, OUTPUT_UNWRITABLE.
    """
    samples = sorted(SAMPLES.glob("[0-9]*.jpg"), key=lambda path: int(path.stem))
    if not samples:
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"there are no sample photos in '{SAMPLES}'",
            "Run the demo from a complete checkout.",
        )
    make_folder(folder)
    started_s = time.perf_counter()
    restorer = Restorer(weights="lite", preload="all")
    yield f"restoring {len(samples)} photos with the embedded lite weights on {restorer.device}"
    rows = []
    for index, path in enumerate(samples):
        progress("samples", index, len(samples))
        before = open_photo(path)
        results, reports = _restored(restorer, before, KIND[int(path.stem)])
        written = results.save(folder)[0].rename(folder / path.name)
        text = json.dumps([report.to_dict() for report in reports], indent=2) + "\n"
        write_atomically(text.encode(), written.with_suffix(".json"))
        after = results.photos[0]
        done = ", then ".join(
            f"{report.task} ({sum(report.stages_ms.values()) / 1000:.1f} s)" for report in reports
        )
        yield f"  {path.name}: {before.width}x{before.height} -> {after.width}x{after.height}  {done}"
        label = f"{path.name}: {', '.join(report.task for report in reports)}"
        rows.append(Pair(label, before.pixels, after.pixels, _face_of(before, reports)))
    progress("samples", len(samples), len(samples))
    sheet = folder / "sheet.png"
    data, _ = encode(Photo("sheet", before_after_sheet(rows)), "png", 100)
    write_atomically(data, sheet)
    yield f"done in {time.perf_counter() - started_s:.1f} s: results and reports in {folder}/, before and after in {sheet}"


def _restored(restorer: Restorer, photo: Photo, kind: str) -> tuple[Results, list[Report]]:
    """The results of the last step, and every step's report."""
    reports = []
    for task, inputs in STEPS[kind]:
        results = restorer.run(task, [photo], output_quality=92, **inputs)
        photo = results.photos[0]
        reports.append(results.reports[0])
    return results, reports


def _face_of(photo: Photo, reports: list[Report]) -> tuple[float, float] | None:
    """Where the best face that was restored lies, as shares of the photo: the sheet shows that part."""
    for report in reports:
        for face in report.faces:
            if face["restored"]:
                left, top, right, bottom = cast("list[float]", face["box"])
                return (left + right) / 2 / photo.width, (top + bottom) / 2 / photo.height
    return None
