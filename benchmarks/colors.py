"""Measure the task colors on faded, cast and good photos that its network was never trained on.

    python -m benchmarks.colors --photos ../shared/photos

Each photo goes through the whole task, harm check included. Faded and cast photos are made from
good ones (training/fading.py), so that the original is known: PSNR and CIEDE2000 of the input and
of the result are means over photos. Good photos should not change.

Prints one row per set of photos; `--record` appends them to results/colors.jsonl.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rows import machine, record
from restore import Photo, Restorer
from training.evaluation import EvaluationPaths
from training.measure_colors import assess, measure_all, read_test_sets


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and record."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "--photos", type=Path, required=True, help="folder with the folders train/ and test/"
    )
    parser.add_argument("--record", action="store_true", help="append the rows to results/")
    options = parser.parse_args(arguments)
    restorer = Restorer(weights="lite", preload="colors")
    variant = restorer.run("colors", [plain_photo()]).reports[0].variant

    def correct(pixels: np.ndarray) -> np.ndarray:
        return restorer.run("colors", [Photo("photo", pixels)]).photos[0].pixels

    figures = measure_all(correct, read_test_sets(EvaluationPaths(options.photos)))
    for name, values in figures.items():
        row = {"photos_of": name, "variant": variant, **values, **machine()}
        print(json.dumps(row))
        if options.record:
            record("colors", row)
    print(assess(figures).summary)


def plain_photo() -> Photo:
    """Return a small photo, to load the network."""
    return Photo("plain", np.full((64, 64, 3), (120, 100, 90), np.uint8))


if __name__ == "__main__":
    main()
