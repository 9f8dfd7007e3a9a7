"""Compares the steps that `steps=auto` proposes with those that a person chose, and with none.

`labels.csv` of the shared photos says for each photo which steps a person would choose (y), not
choose (n), or either (e). A labelled photo is right if no wanted step is missing and none that is
unwanted is proposed. A clean photo is right if no repair is proposed; enlarging is none.

    python -m benchmarks.assessment ../shared/photos --record
    python -m benchmarks.assessment ../shared/photos --part degraded --record

The part `degraded` measures which degradation of a clean photo leads to a step
(benchmarks/assessment_degraded.py).
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.assessment_degraded import Networks, measure_shares, print_shares
from benchmarks.rows import machine, record
from restore import Restorer
from restore.imaging.photo import Photo, open_photo
from restore.options import PIPELINE_TASK, Request, Step
from restore.pipelines.assessment.findings import DEBLUR, DENOISE, judge_measurements
from restore.pipelines.assessment.limits import LIMITS, Limits
from restore.pipelines.assessment.measurements import Measurements, measure_photo
from restore.pipelines.face_alignment import convention_of_row
from restore.pipelines.prepare import prepare_photo
from restore.pipelines.propose import Judge
from restore.runtime.device import runtime_for

COLUMNS = ("scratches", "denoise", "deblur", "colors", "faces", "upscale")
REPAIRS: Mapping[tuple[Step, str], tuple[str, ...]] = {
    ("old_photo_restore", ""): ("scratches", "denoise"),
    ("restore", DENOISE): ("denoise",),
    ("restore", DEBLUR): ("deblur",),
    ("colors", ""): ("colors",),
    ("face_restore", ""): ("faces",),
    ("upscale", ""): ("upscale",),
}
"""The columns of the labels that each proposed step fills."""

CLEAN_FOLDERS: Mapping[str, tuple[int, int]] = {
    "test/kodak": (0, 1),
    "test/set5": (0, 1),
    "train/natural": (2, 5),
    "train/natural2": (3, 8),
}
"""First photo and distance of the clean photos; the limits were chosen on others of train/."""

Measure = Callable[[Photo], Measurements]


@dataclass(frozen=True)
class Labelled:
    """A labelled photo.

    Attributes:
        name: its path inside the folder of photos.
        labels: y, n or e for each of COLUMNS.
        measured: its measurements.
    """

    name: str
    labels: Mapping[str, str]
    measured: Measurements

    def mistakes(self, limits: Limits = LIMITS) -> list[str]:
        """Return the columns in which a step is missing or unwanted."""
        proposed = proposed_columns(self.measured, limits)
        # Denoising by old_photo_restore is a part of mending scratches.
        is_mended = "scratches" in proposed
        return [
            f"{column} {'missing' if label == 'y' else 'unwanted'}"
            for column, label in self.labels.items()
            if (label == "y" and column not in proposed)
            or (label == "n" and column in proposed and not (column == "denoise" and is_mended))
        ]


def proposed_columns(measured: Measurements, limits: Limits = LIMITS) -> frozenset[str]:
    """Return the columns of the labels that the proposed steps fill."""
    findings = judge_measurements(measured, limits)
    return frozenset[str]().union(
        *(REPAIRS[finding.step, finding.work] for finding in findings if finding.step)
    )


def load_judge() -> Judge:
    """Load the embedded networks."""
    restorer = Restorer(weights="lite", device="cpu")
    request = Request.from_inputs(PIPELINE_TASK, {})
    runtime = runtime_for("baseline", restorer.device)
    return Judge.load(request, restorer.cache, restorer.detectors, runtime)


def new_measure() -> Measure:
    """Return a function that measures photos with the embedded networks."""
    judge = load_judge()
    convention = convention_of_row(judge.face_model.row)

    def measure(photo: Photo) -> Measurements:
        prepared = prepare_photo(photo).photo
        measurements, _ = measure_photo(
            prepared, judge.detector, convention, judge.scratch_net, judge.predict_change
        )
        return measurements

    return measure


def read_labels(photos: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield the path and the labels of each photo in labels.csv."""
    lines = (photos / "labels.csv").read_text().splitlines()
    for row in csv.DictReader(line for line in lines if line and not line.startswith("#")):
        for path in sorted(photos.glob(row["file"])):
            labels = {column: row[column] for column in COLUMNS}
            yield path.relative_to(photos).as_posix(), labels


def clean_names(photos: Path) -> Iterator[tuple[str, str]]:
    """Yield the folder and the path of each clean photo."""
    for folder, (first, distance) in CLEAN_FOLDERS.items():
        files = sorted(
            path for path in (photos / folder).iterdir() if path.suffix in {".png", ".jpg"}
        )
        for path in files[first::distance]:
            yield folder, path.relative_to(photos).as_posix()


def refit_limits(others: Sequence[Labelled]) -> Limits:
    """Choose the limits of noise and scratches again, between the labelled photos."""
    without_colour = [each for each in others if each.measured.tone != "colour"]
    return replace(
        LIMITS,
        noise_levels=_between(
            LIMITS.noise_levels,
            [
                (each.measured.noise.luminance_levels, each.labels["denoise"])
                for each in others
                if each.measured.scratch_length < LIMITS.scratch_length
            ],
        ),
        scratch_length=_between(
            LIMITS.scratch_length,
            [(each.measured.scratch_length, each.labels["scratches"]) for each in without_colour],
        ),
    )


def _between(limit: float, labelled: Sequence[tuple[float, str]]) -> float:
    """Return the middle between the unwanted values and the lowest wanted one above them.

    The limit remains as it is if there are no such values.
    """
    unwanted = max((value for value, label in labelled if label == "n"), default=limit)
    wanted = [value for value, label in labelled if label == "y" and value > unwanted]
    return (unwanted + min(wanted)) / 2 if wanted else limit


def print_labelled(photos: Sequence[Labelled]) -> None:
    """Print the labels of each photo, with a plus where a step is proposed, and its mistakes."""
    print("| photo | " + " | ".join(COLUMNS) + " | wrong |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for each in photos:
        proposed = proposed_columns(each.measured)
        cells = [each.labels[column] + (" +" if column in proposed else "") for column in COLUMNS]
        name = each.name.removeprefix("test/")
        print(f"| {name} | " + " | ".join(cells) + f" | {', '.join(each.mistakes())} |")


def print_clean(measured: Mapping[str, Sequence[tuple[str, Measurements]]]) -> tuple[int, int]:
    """Print the clean photos for which a repair is proposed; return their number and that of all.

    Args:
        measured: by folder, name and measurements of each photo.
    """
    wrong = 0
    print("\n| clean photos | number | without a repair | repairs proposed |\n|---|---|---|---|")
    for folder, photos in measured.items():
        repairs = {name: proposed_columns(each) - {"upscale"} for name, each in photos}
        mistakes = {name: columns for name, columns in repairs.items() if columns}
        wrong += len(mistakes)
        words = [f"{Path(name).name}: {', '.join(sorted(each))}" for name, each in mistakes.items()]
        kept = len(photos) - len(mistakes)
        print(f"| {folder} | {len(photos)} | {kept} | {'; '.join(words)} |")
    return wrong, sum(map(len, measured.values()))


def compare_labels(photos: Path, measure: Measure) -> dict[str, object]:
    """Print the tables of labelled and clean photos; return the row with the shares."""
    labelled = [
        Labelled(name, labels, measure(open_photo(photos / name, name=name)))
        for name, labels in read_labels(photos)
    ]
    print_labelled(labelled)
    right = sum(not each.mistakes() for each in labelled)
    left_out = sum(
        not each.mistakes(refit_limits([other for other in labelled if other is not each]))
        for each in labelled
    )
    clean: dict[str, list[tuple[str, Measurements]]] = {}
    for folder, name in clean_names(photos):
        photo = open_photo(photos / name, name=name)
        clean.setdefault(folder, []).append((name, measure(photo)))
    wrong, count = print_clean(clean)
    row: dict[str, object] = {
        "labelled": len(labelled),
        "labelled_right_percent": round(100 * right / len(labelled), 1),
        "leave_one_out_right_percent": round(100 * left_out / len(labelled), 1),
        "clean": count,
        "clean_without_repair_percent": round(100 * (count - wrong) / count, 1),
    }
    print("\n" + ", ".join(f"{name} {value}" for name, value in row.items()))
    return row


def main(arguments: Sequence[str] | None = None, measure: Measure | None = None) -> None:
    """Print the tables, and record the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of shared photos")
    parser.add_argument(
        "--part", choices=("labels", "degraded"), default="labels", help="what to measure"
    )
    parser.add_argument("--record", action="store_true", help="append rows to results/")
    options = parser.parse_args(arguments)
    if options.part == "degraded":
        judge = load_judge()
        networks = Networks(judge.scratch_net, judge.predict_change)
        rows = list(measure_shares(options.photos, networks, proposed_columns))
        print_shares(rows)
    else:
        rows = [compare_labels(options.photos, measure or new_measure())]
    if options.record:
        name = "assessment" if options.part == "labels" else "assessment_degraded"
        for row in rows:
            record(name, {**row, **machine()})


if __name__ == "__main__":
    main()
