"""Search for damage that a report does not mention: `python -m tests.harm bugs | clean`.

`bugs` runs the inputs of public bug reports through every task; an independent oracle judges the
results. The exit code is 1 if a result is damaged and neither an error, a warning nor a status says
so. `clean` runs clean photos through every task with default options, and lists every bound that is
exceeded and every warning; `--bounds` prints the largest figures, which the bounds are based on.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # like pytest

from bug_inputs import BugInput, generate  # noqa: E402
from clean_photos import choose_clean_photos, print_clean_rows, run_clean_photo  # noqa: E402
from colour_oracle import MAX_GOOD_CHANGE, find_kept_harm, mean_change  # noqa: E402
from oracle import Pixels, find_harm, find_inpaint_harm, read  # noqa: E402
from places import PROJECT, SHARED  # noqa: E402

from restore import RestoreError, Restorer  # noqa: E402

SAMPLES = ("1", "4", "11")
"""Photos of data/ from which the bug inputs are made: colour, grey, small with thin lines."""

TASKS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "upscale": ("upscale", {"scale": 2}),
    "enhance": ("enhance", {"scale": 2}),
    "restore": ("restore", {}),
    "deblur": ("restore", {"restore_variant": "lite_deblur"}),
    "face_restore": ("face_restore", {"face_upscale": 1}),
    "colorize": ("colorize", {}),
    "old_photo_restore": ("old_photo_restore", {"with_scratch": True}),
    "colors": ("colors", {}),
    "pipeline": ("pipeline", {"steps": "auto"}),
}
DECODED_BY_US_ONLY = frozenset(
    {"alpha0.bmp", "no_eoi.jpg", "pq.png", "linear.png", "thumb_first.tif"}
)
"""Files that Pillow rejects or decodes without their colour chunks."""

UNRELATED_WARNINGS = ("no face was found", "no shake was found", "this photo was in colour")
"""Warnings that do not tell that a result may be damaged."""


@dataclass(frozen=True)
class Row:
    """What one task did with one file."""

    file: str
    task: str
    outcome: str
    harm: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def is_silent(self) -> bool:
        """Whether the result is damaged and nothing says so."""
        told = [
            warning
            for warning in self.warnings
            if not any(text in warning for text in UNRELATED_WARNINGS)
        ]
        return bool(self.harm) and not told and self.outcome == "done"


def main() -> int:
    arguments = _parser().parse_args()
    tasks = {name: TASKS[name] for name in arguments.tasks}
    restorer = Restorer(weights="lite", device="cpu")
    if arguments.command == "clean":
        photos = choose_clean_photos(arguments.count)
        rows = [
            row
            for photo in photos
            for row in run_clean_photo(restorer, photo, tasks, arguments.long_side)
        ]
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
        return print_clean_rows(rows, with_bounds=arguments.bounds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        photos = [PROJECT / "data" / f"{name}.jpg" for name in arguments.samples]
        inputs = generate(SHARED / "bug_inputs", photos, folder / "inputs")
        results = folder / "results"
        table = [row for item in inputs for row in _run_all(restorer, item, results, tasks)]
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in table], indent=1) + "\n")
    silent = [row for row in table if row.is_silent]
    refused = sum(row.outcome.startswith("E") for row in table)
    print(f"{len(table)} results: {refused} refused, {len(silent)} damaged without a warning")
    return 1 if silent else 0


def _run_all(
    restorer: Restorer, item: BugInput, results: Path, tasks: Collection[str]
) -> Iterator[Row]:
    for name in tasks:
        yield _print(_run_task(restorer, item, name, results))
    for mask in item.masks if len(tasks) == len(TASKS) else ():
        yield _print(_run_inpaint(restorer, item, mask, results))


def _run_task(restorer: Restorer, item: BugInput, name: str, results: Path) -> Row:
    task, options = TASKS[name]
    try:
        result = restorer.run(task, item.path, output_format="png", **options)
    except RestoreError as error:
        return Row(item.name, name, error.code, warnings=(str(error),))
    [path] = result.save(results / item.path.parent.name, f"{name}-")
    report = result.reports[0]
    harm: Sequence[str] = ()
    if item.path.name not in DECODED_BY_US_ONLY:
        steps = {step.task for step in report.steps} or {name}
        undamaged = None if item.undamaged is None else read(item.undamaged)
        harm = tuple(find_harm(read(item.path), read(path), steps, undamaged))
        if name == "colors":
            harm += tuple(_find_colour_faults(item.path, path))
    return Row(item.name, name, report.status, tuple(harm), tuple(report.warnings))


def _find_colour_faults(source: Path, result: Path) -> Iterator[str]:
    """Describe what `colors` must keep: alpha, depth, and the colours of photos without fading."""
    before, after = read(source), read(result)
    yield from find_kept_harm(source, result)
    change = mean_change(before.levels, after.levels, before.opacity > 0.5)
    if change > MAX_GOOD_CHANGE:
        yield f"the colours of a good photo changed by {change:.0f} CIE units"


def _run_inpaint(restorer: Restorer, item: BugInput, mask: Path, results: Path) -> Row:
    name = f"inpaint {mask.stem}"
    try:
        result = restorer.run("inpaint", item.path, masks=mask, output_format="png")
    except RestoreError as error:
        return Row(item.name, name, error.code, warnings=(str(error),))
    [path] = result.save(results / item.path.parent.name, f"{mask.stem}-")
    photo: Pixels = read(item.path)
    hole = read(mask.with_name("mask_255.png")).levels[..., 0] > 127
    harm = tuple(find_inpaint_harm(photo, read(path), hole))
    return Row(item.name, name, result.reports[0].status, harm, tuple(result.reports[0].warnings))


def _print(row: Row) -> Row:
    label = "SILENT" if row.is_silent else row.outcome
    print(f"{label:8} {row.file:28} {row.task:22} {'; '.join(row.harm)}", flush=True)
    return row


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.harm", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("bugs", "clean"), default="bugs")
    parser.add_argument(
        "--samples", nargs="+", default=SAMPLES, help="numbers of photos in data/ for `bugs`"
    )
    parser.add_argument(
        "--tasks", nargs="+", choices=tuple(TASKS), default=tuple(TASKS), help="tasks to run"
    )
    parser.add_argument("--count", type=int, default=200, help="clean photos, at most")
    parser.add_argument(
        "--long-side", type=int, default=0, help="reduce clean photos to this many pixels"
    )
    parser.add_argument("--bounds", action="store_true", help="print the largest figures")
    parser.add_argument("--folder", type=Path, help="keep inputs and results here")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
