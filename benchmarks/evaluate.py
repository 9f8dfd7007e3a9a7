"""Measure the quality of restored photos against their originals.

    python benchmarks/evaluate.py ORIGINALS RESTORED --csv figures.csv --html report.html
    python benchmarks/evaluate.py ORIGINALS --task upscale --preset small --html report.html

The first form compares two folders; photos are matched by file name without extension. The second
form degrades each clean photo with a recipe of data/degrade.py, restores it, and shows the figures
before (enlarged to the size of the original if it is smaller) and after. `--set` changes an amount
of the recipe (noise=15) or an input of the task (scale=2).

PSNR, SSIM and SSIMULACRA2: higher is better. FLIP, GMSD, NIQE and LPIPS: lower is better.
benchmarks/perceptual.py and benchmarks/quality.py say what each is good for.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import add_weights_option, split_pair
from benchmarks.comparison import (
    Comparison,
    Trial,
    compare_folders,
    compare_restored,
    photos_in,
)
from benchmarks.page import Entry, page
from benchmarks.perceptual import missing_packages
from benchmarks.quality import ALEXNET, LINEAR, Lpips, NotMeasuredError, lpips_measure
from benchmarks.quality_report import COLUMNS, html_entry, html_means, table, write_csv
from data.degradation import PRESETS, Degradation
from restore.errors import Code, RestoreError
from restore.options import PIPELINE_TASK, STEPS, TASK_OPTIONS

_AMOUNT_TYPES: dict[str, Callable[[str], object]] = {
    **{amount.name: float for amount in fields(Degradation)},
    "scratches": int,
    "jpeg": int,
    "resampling": str,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 after printing a RestoreError."""
    options = _parser().parse_args(arguments)
    try:
        trial = read_trial(options)
        lpips, notes = _lpips(options.lpips)
        notes += missing_packages().values()
        if trial:
            notes.insert(0, trial.describe())
        rows, entries = list[Comparison](), list[Entry]()
        for row in _comparisons(options, trial, lpips):
            if options.html:
                entries.append(html_entry(row))
            # The pictures of a whole folder would not fit into memory.
            rows.append(replace(row, pictures={}))
            print(f"{len(rows)}: {row.name}", file=sys.stderr)
        print(table(rows), *notes, sep="\n")
        if options.csv:
            write_csv(rows, options.csv)
        if options.html:
            html = page("Restored photos", notes, list(COLUMNS.values()), html_means(rows), entries)
            options.html.parent.mkdir(parents=True, exist_ok=True)
            options.html.write_text(html, encoding="utf-8")
    except (RestoreError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _comparisons(
    options: argparse.Namespace, trial: Trial | None, lpips: Lpips | None
) -> Iterator[Comparison]:
    if trial:
        photos = photos_in(options.originals)
        return compare_restored(photos, trial, lpips, may_resize=options.resize)
    return compare_folders(options.originals, options.restored, lpips, may_resize=options.resize)


def read_trial(options: argparse.Namespace) -> Trial | None:
    """Return the trial that the command line asks for; None if it compares two folders.

    Raises:
        RestoreError: OPTION_INVALID if both or neither are asked for, or for a wrong `--set`.
    """
    if (options.restored is None) == (options.task is None):
        raise RestoreError(
            Code.OPTION_INVALID,
            "the command needs either a second folder or --task",
            "See --help.",
        )
    if options.task is None:
        if options.preset or options.set:
            raise RestoreError(
                Code.OPTION_INVALID,
                "--preset and --set have no effect without --task",
                "Add --task.",
            )
        return None
    amounts, inputs = _read_settings(options.set)
    preset = PRESETS[options.preset] if options.preset else Degradation()
    recipe = replace(preset, **amounts)  # type: ignore[arg-type]
    if options.task in STEPS and "scale" in TASK_OPTIONS[options.task].names():
        inputs.setdefault("scale", f"{recipe.downscale:g}")  # back to the size of the original
    return Trial(options.task, recipe, inputs, options.weights, options.seed)


def _read_settings(pairs: Sequence[str]) -> tuple[dict[str, object], dict[str, str]]:
    """Divide NAME=VALUE texts into amounts of the recipe and inputs of the task."""
    amounts: dict[str, object] = {}
    inputs: dict[str, str] = {}
    for pair in pairs:
        name, value = split_pair(pair)
        if name not in _AMOUNT_TYPES:
            inputs[name] = value
            continue
        try:
            amounts[name] = _AMOUNT_TYPES[name](value)
        except ValueError as error:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"--set {pair}: {error}",
                "Amounts of the recipe are numbers.",
            ) from error
    return amounts, inputs


def _lpips(folder: Path | None) -> tuple[Lpips | None, list[str]]:
    """Return LPIPS, or the reason why it is not measured.

    Raises:
        RestoreError: OPTION_INVALID if a folder was named that lacks its files.
    """
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
        help="resize restored photos of another size to that of the original",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE")
    parser.add_argument("--html", type=Path, metavar="FILE", help="one file with the pictures")
    parser.add_argument(
        "--lpips", type=Path, metavar="FOLDER", help=f"folder of {ALEXNET} and {LINEAR}"
    )
    parser.add_argument(
        "--task",
        choices=(*STEPS, PIPELINE_TASK),
        help="degrade the originals, restore them with this task, compare",
    )
    presets = "; ".join(f"{name}: {recipe}" for name, recipe in PRESETS.items())
    parser.add_argument("--preset", choices=PRESETS, help=presets)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an amount of the recipe or an input of the task",
    )
    add_weights_option(parser)
    parser.add_argument(
        "--seed", type=int, default=1, help="of the first photo; photo i gets seed + i"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
