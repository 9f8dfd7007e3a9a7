"""Quality of restored photos against their originals: `python -m benchmarks.evaluate ORIGINALS RESTORED`.

    python -m benchmarks.evaluate ORIGINALS RESTORED --csv figures.csv --html report.html
    python -m benchmarks.evaluate ORIGINALS --task upscale --preset small --set upscale_variant=lite --html report.html

The first compares two folders, photos matched by file name without extension. The second degrades each clean photo by a recipe of
data/degrade.py, restores it, and shows the figures of the degraded photo (enlarged to the original's size where it is smaller)
beside those of the restored one. `--set` changes an amount of the recipe (noise=15) or an input of the task (scale=2).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.page import Entry, figures_html, page
from benchmarks.quality import (
    Figures,
    Lpips,
    NotMeasuredError,
    Rgb,
    figures_of,
    lpips_measure,
    mean_of,
    resized,
)
from data.degrade import PRESETS, Degradation, degrade, read_photo
from restore import Photo, Restorer
from restore.errors import Code, RestoreError
from restore.options import STEPS, TASK_OPTIONS, TASKS

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp"})
COLUMNS = {
    "psnr_rgb_db": "PSNR",
    "psnr_y_db": "PSNR Y",
    "ssim": "SSIM",
    "niqe": "NIQE",
    "lpips": "LPIPS",
}
DECIMALS = {"ssim": 4, "niqe": 3, "lpips": 4}
ABSENT = "not measured"


@dataclass(frozen=True)
class Compared:
    """One photo: its figures restored and, where it was degraded here, degraded; what a report shows, by caption."""

    name: str
    figures: Figures
    degraded_figures: Figures | None = None
    pictures: Mapping[str, Rgb] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """What is done to each clean photo: degraded by a recipe, then restored by a task with its inputs."""

    task: str
    recipe: Degradation
    inputs: Mapping[str, str]
    weights: str
    seed: int

    def describe(self) -> str:
        inputs = "".join(f", {name}={value}" for name, value in self.inputs.items())
        return f"degraded: {self.recipe}, seed {self.seed} and up; restored: {self.task}{inputs}, weights {self.weights}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0, or 2 after a RestoreError, which it prints."""
    options = _parser().parse_args(arguments)
    try:
        trial = _trial(options)
        lpips, notes = _lpips(options.lpips)
        notes = [*([trial.describe()] if trial else []), *notes]
        if trial:
            compared = restored_here(
                photos_in(options.originals), trial, lpips, may_resize=options.resize
            )
        else:
            compared = compared_folders(
                options.originals, options.restored, lpips, may_resize=options.resize
            )
        done, entries = list[Compared](), list[Entry]()
        for row in compared:
            if options.html:
                entries.append(
                    Entry(
                        row.name,
                        figures_html(row.name, row.pictures),
                        _lines(row.degraded_figures, row.figures),
                    )
                )
            done.append(
                replace(row, pictures={})
            )  # full-size photos of a whole folder would fill the memory
            print(f"{len(done)}: {row.name}", file=sys.stderr)
        print(table(done), *notes, sep="\n")
        if options.csv:
            write_csv(done, options.csv)
        if options.html:
            options.html.parent.mkdir(parents=True, exist_ok=True)
            means = _lines(*_means(done), prefix="mean, ")
            options.html.write_text(
                page("Restored photos", notes, list(COLUMNS.values()), means, entries),
                encoding="utf-8",
            )
    except (RestoreError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def photos_in(folder: Path) -> dict[str, Path]:
    """The photos of a folder by their names without extension, in order.

    Raises:
        RestoreError: PHOTO_MISSING where there are none; OPTION_INVALID where two have one name.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.suffix.lower() not in PHOTO_SUFFIXES:
            continue
        if path.stem in found:
            reason = f"{found[path.stem].name} and {path.name} of {folder} have one name"
            raise RestoreError(
                Code.OPTION_INVALID,
                reason,
                "Photos are matched by name without extension: rename one.",
            )
        found[path.stem] = path
    if not found:
        raise RestoreError(
            Code.PHOTO_MISSING, f"{folder} holds no photos", "Name a folder of photos."
        )
    return found


def partners(originals: Path, restored: Path) -> list[tuple[Path, Path]]:
    """Originals with their restored photos.

    Raises:
        RestoreError: PHOTO_MISSING, which names every photo that has no partner, and what `photos_in` raises.
    """
    left, right = photos_in(originals), photos_in(restored)
    alone = [
        *(left[name] for name in left.keys() - right.keys()),
        *(right[name] for name in right.keys() - left.keys()),
    ]
    if alone:
        names = ", ".join(sorted(str(path) for path in alone))
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"without a partner in the other folder: {names}",
            "Add or remove photos, or rename them.",
        )
    return [(left[name], right[name]) for name in left]


def compared_folders(
    originals: Path, restored: Path, lpips: Lpips | None, *, may_resize: bool
) -> Iterator[Compared]:
    """Each pair of two folders with its figures."""
    for first, second in partners(originals, restored):
        original = read_photo(first)
        photo = _of_one_size(
            first.name, original, second.name, read_photo(second), may_resize=may_resize
        )
        yield Compared(
            first.stem,
            figures_of(original, photo, lpips),
            pictures={"restored": photo, "original": original},
        )


def restored_here(
    photos: Mapping[str, Path], trial: Trial, lpips: Lpips | None, *, may_resize: bool
) -> Iterator[Compared]:
    """Each photo degraded and restored, with the figures before and after."""
    restorer = Restorer(weights=trial.weights)
    for number, path in enumerate(photos.values()):
        original = divisible(read_photo(path), trial.recipe.downscale)
        degraded = degrade(original, trial.recipe, trial.seed + number)
        result = (
            restorer.run(trial.task, Photo(path.name, degraded), **trial.inputs).photos[0].pixels
        )
        photo = _of_one_size(
            path.name, original, f"restored {path.name}", _as_rgb(result), may_resize=may_resize
        )
        before = resized(degraded, original)
        caption = (
            "degraded"
            if before is degraded
            else f"degraded to {degraded.shape[1]} x {degraded.shape[0]}, enlarged"
        )
        pictures = {caption: before, "restored": photo, "original": original}
        yield Compared(
            path.stem,
            figures_of(original, photo, lpips),
            figures_of(original, before, lpips),
            pictures,
        )


def divisible(photo: Rgb, factor: float) -> Rgb:
    """The photo's top left part whose sides a whole factor divides, so that enlarging by it gives the same size again."""
    if factor != int(factor):
        return photo
    height, width = (side - side % int(factor) for side in photo.shape[:2])
    return photo[:height, :width]


def table(rows: Sequence[Compared]) -> str:
    """The console's table: a line a photo, and their mean; in a trial each figure before and after."""
    degraded = any(row.degraded_figures for row in rows)
    width = max(len("photo"), *(len(row.name) for row in rows))
    cell = 22 if degraded else 13
    title = f"{'photo':{width}}" + "".join(f"{name:>{cell}}" for name in COLUMNS.values())
    lines = [title + ("   (degraded -> restored)" if degraded else "")]
    for name, before, after in [
        *((row.name, row.degraded_figures, row.figures) for row in rows),
        ("mean", *_means(rows)),
    ]:
        pairs = [
            [_shown(figures, key) for figures in (before, after) if figures] for key in COLUMNS
        ]
        cells = (ABSENT if ABSENT in pair[-1:] else " -> ".join(pair) for pair in pairs)
        lines.append(f"{name:{width}}" + "".join(f"{text:>{cell}}" for text in cells))
    return "\n".join(lines)


def write_csv(rows: Sequence[Compared], path: Path) -> None:
    """A line a photo and one of means; what was not measured is empty."""
    names = [one.name for one in fields(Figures)]
    degraded = any(row.degraded_figures for row in rows)
    lines = [
        *((row.name, row.figures, row.degraded_figures) for row in rows),
        ("mean", *reversed(_means(rows))),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", *names, *(f"degraded_{name}" for name in names if degraded)])
        for name, after, before in lines:
            writer.writerow(
                [
                    name,
                    *(
                        getattr(figures, key)
                        for figures in (after, before)
                        if figures
                        for key in names
                    ),
                ]
            )


def _lines(before: Figures | None, after: Figures | None, prefix: str = "") -> dict[str, list[str]]:
    named = {f"{prefix}degraded": before, f"{prefix}restored": after}
    return {
        name: [_shown(figures, key) for key in COLUMNS]
        for name, figures in named.items()
        if figures
    }


def _means(rows: Sequence[Compared]) -> tuple[Figures | None, Figures | None]:
    before = [row.degraded_figures for row in rows if row.degraded_figures]
    return mean_of(before) if before else None, mean_of([row.figures for row in rows])


def _shown(figures: Figures | None, key: str) -> str:
    if figures is None:
        return ""
    value = getattr(figures, key)
    return ABSENT if value is None else f"{value:.{DECIMALS.get(key, 2)}f}"


def _of_one_size(first: str, original: Rgb, second: str, photo: Rgb, *, may_resize: bool) -> Rgb:
    if photo.shape != original.shape and not may_resize:
        sizes = [
            f"{name} has {pixels.shape[1]}x{pixels.shape[0]} pixels"
            for name, pixels in ((first, original), (second, photo))
        ]
        raise RestoreError(
            Code.OPTION_INVALID, ", ".join(sizes), "Compare photos of one size, or use --resize."
        )
    return resized(photo, original)


def _as_rgb(pixels: np.ndarray) -> Rgb:
    return cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB).astype(np.uint8) if pixels.ndim == 2 else pixels


def _lpips(folder: Path | None) -> tuple[Lpips | None, list[str]]:
    """LPIPS, or why there is none: an error where a folder was named for it."""
    try:
        return lpips_measure(folder), []
    except NotMeasuredError as error:
        if folder:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"LPIPS cannot be measured: {error}",
                "Put both files into that folder.",
            ) from error
        return None, [f"LPIPS is not measured: {error}"]


def _trial(options: argparse.Namespace) -> Trial | None:
    """What the command line asks to be done to clean photos; None where it compares folders.

    Raises:
        RestoreError: OPTION_INVALID where it asks for both or for neither, and for a --set that is no NAME=VALUE.
    """
    if (options.restored is None) == (options.task is None):
        raise RestoreError(
            Code.OPTION_INVALID, "one folder to compare with, or --task", "See --help."
        )
    if options.task is None:
        if options.preset or options.set:
            raise RestoreError(
                Code.OPTION_INVALID, "--preset and --set belong to --task", "See --help."
            )
        return None
    amounts: dict[str, object] = {}
    inputs: dict[str, str] = {}
    readers: dict[str, Callable[[str], object]] = {
        amount.name: float for amount in fields(Degradation)
    }
    readers |= {"scratches": int, "jpeg": int, "resampling": str}
    for pair in options.set:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise RestoreError(
                Code.OPTION_INVALID,
                f"--set {pair} is no NAME=VALUE pair",
                "Write for example --set scale=2.",
            )
        if name not in readers:
            inputs[name] = value
            continue
        try:
            amounts[name] = readers[name](value)
        except ValueError as error:
            raise RestoreError(
                Code.OPTION_INVALID, f"--set {pair}: {error}", "Amounts of the recipe are numbers."
            ) from error
    recipe = replace(PRESETS[options.preset] if options.preset else Degradation(), **amounts)  # type: ignore[arg-type]
    if options.task in STEPS and "scale" in TASK_OPTIONS[options.task].names():
        inputs.setdefault("scale", f"{recipe.downscale:g}")  # back to the original's size
    return Trial(options.task, recipe, inputs, options.weights, options.seed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("originals", type=Path, metavar="ORIGINALS", help="folder of clean photos")
    parser.add_argument(
        "restored",
        type=Path,
        nargs="?",
        metavar="RESTORED",
        help="folder of the same photos, restored",
    )
    parser.add_argument(
        "--resize",
        action="store_true",
        help="bring restored photos of another size to the original's",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one file, pictures inside")
    parser.add_argument(
        "--lpips",
        type=Path,
        metavar="FOLDER",
        help="where alexnet-owt-7be5be79.pth and alex.pth lie",
    )
    parser.add_argument(
        "--task", choices=TASKS, help="degrade the originals, restore them by this task, compare"
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        help="; ".join(f"{name}: {recipe}" for name, recipe in PRESETS.items()),
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an amount of the recipe or an input of the task",
    )
    parser.add_argument("--weights", choices=("lite", "official", "auto"), default="lite")
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first photo, one more for each further one"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
