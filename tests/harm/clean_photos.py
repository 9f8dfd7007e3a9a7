"""Clean photos through every task: no bound may be exceeded; warnings are counted."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from colour_oracle import MAX_GOOD_CHANGE, mean_change
from places import SHARED

from restore import Photo, RestoreError, Restorer, open_photo
from restore.imaging.convert import to_8_bits, to_rgb
from restore.pipelines import TASK_SPECS
from restore.pipelines.harm import Expected
from restore.pipelines.harm_bounds import BOUNDS

FOLDERS = (("test/kodak", 8), ("test/set5", 5), ("train/natural", 100), ("train/natural2", 40))
"""Folders of the shared photos, and how many photos of each are taken. Faces are added to them."""

FACES = "train/faces"
FIGURES = ("cell_shift", "mean_shift", "changed_share", "contrast")
COLOUR_FIGURES = ("clipped_share", "structure", "contrast", "colour_change")
LOWEST = frozenset({"contrast", "structure"})
"""Figures whose bound is a lower one."""


def choose_clean_photos(count: int) -> list[Path]:
    """Choose photos evenly from the clean folders: about `count`, in a fixed order."""
    photos: list[Path] = []
    for folder, wanted in FOLDERS:
        photos += _spread_out(SHARED / "photos" / folder, wanted)
    photos += _spread_out(SHARED / "photos" / FACES, max(0, 200 - len(photos)))
    return photos[:: max(1, round(len(photos) / count))]


def run_clean_photo(
    restorer: Restorer,
    path: Path,
    tasks: Mapping[str, tuple[str, Mapping[str, Any]]],
    long_side_px: int,
) -> Iterator[dict[str, Any]]:
    """Run one photo through every task; yield the figures and warnings of each.

    Args:
        restorer: runs the tasks.
        path: the photo.
        tasks: name, task and options.
        long_side_px: larger photos are reduced to this first; 0 keeps their size.
    """
    photo = open_photo(path)
    factor = long_side_px / max(photo.width, photo.height)
    if 0 < factor < 1:
        size = (round(photo.width * factor), round(photo.height * factor))
        reduced = cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA)
        photo = photo.with_pixels(reduced)
    for name, (task, options) in tasks.items():
        started_s = time.perf_counter()
        row: dict[str, Any] = {"photo": f"{path.parent.name}/{path.name}", "task": name}
        try:
            result = restorer.run(task, photo, **options)
            report = result.reports[0]
            steps = report.steps or [report]
            row |= {
                "status": report.status,
                "harm": {step.task: step.harm for step in steps},
                "warnings": report.warnings,
                "scratched_share": report.scratched_share,
            }
            if task == "colors":
                row["harm"][task]["colour_change"] = _colour_change(photo, result.photos[0])
        except RestoreError as error:
            row |= {"status": error.code, "harm": {}, "warnings": [str(error)]}
        row["seconds"] = round(time.perf_counter() - started_s, 2)
        yield row


def print_clean_rows(rows: Sequence[Mapping[str, Any]], *, with_bounds: bool) -> int:
    """Print what is not clean; return 1 if a bound was exceeded or a result was not complete."""
    bad = 0
    for row in rows:
        if row["status"] != "done":
            bad += 1
            print(f"{row['status']:8} {row['photo']:32} {row['task']:18} {row['warnings']}")
    warnings = Counter(f"{row['task']}: {text}" for row in rows for text in row["warnings"])
    for text, number in warnings.most_common():
        print(f"{number:5} x {text}")
    if with_bounds:
        _print_extremes(rows)
    photos = len({row["photo"] for row in rows})
    print(f"{photos} photos, {len(rows)} results, {bad} not done, {warnings.total()} warnings")
    return 1 if bad else 0


def _print_extremes(rows: Sequence[Mapping[str, Any]]) -> None:
    expected_of: dict[str, Expected] = {task: spec.expected for task, spec in TASK_SPECS.items()}
    worst: dict[tuple[str, str], tuple[float, str]] = {}
    for row in rows:
        for task, harm in row["harm"].items():
            for figure in COLOUR_FIGURES if task == "colors" else FIGURES:
                if figure not in harm:
                    continue
                key, found = (task, figure), (float(harm[figure]), str(row["photo"]))
                sign = -1 if figure in LOWEST else 1
                if key not in worst or sign * found[0] > sign * worst[key][0]:
                    worst[key] = found
    for (task, figure), (value, photo) in sorted(worst.items()):
        prefix = "min" if figure in LOWEST else "max"
        bounds = BOUNDS[expected_of[task]]
        bound = getattr(bounds, f"{prefix}_{figure}", MAX_GOOD_CHANGE)
        print(f"{task:18} {figure:14} {value:8.3f}  bound {bound:g}  ({photo})")


def _colour_change(before: Photo, after: Photo) -> float:
    """Return the mean CIE76 difference of two photos."""
    levels = [to_rgb(to_8_bits(photo.pixels)).astype(np.float64) for photo in (before, after)]
    return mean_change(levels[0], levels[1], np.ones(levels[0].shape[:2], np.bool_))


def _spread_out(folder: Path, count: int) -> list[Path]:
    photos = sorted(path for path in folder.iterdir() if path.suffix in {".jpg", ".png"})
    return photos[:: max(1, len(photos) // max(1, count))][:count]
