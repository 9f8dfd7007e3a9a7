"""Makes many varied photos from the few samples beside this file, to measure with: `python data/make_dataset.py --count 100 --seed 1`.

Each is a crop of a sample, perhaps mirrored, of another size, degraded by one of degrade.py's recipes and written as JPEG;
`manifest.csv` says how. The same seed and library versions give the same bytes, and photo n is the same whatever the count. They are
for measuring time, not quality: what is larger than its sample has no more detail than that.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data.degradation import PRESETS, Degradation, degrade, read_photo
from restore.errors import Code, RestoreError

HERE = Path(__file__).resolve().parent
MANIFEST = "manifest.csv"
LONG_SIDES_PX = (128, 1024)
CROP_SHARES = (0.5, 1.0)
JPEG_QUALITIES = (60, 96)
CLEAN = "clean"

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Plan:
    """How one photo is made: a row of the manifest.

    Attributes:
        left, top, crop_width, crop_height: what of the sample it shows, in the sample's pixels.
        kind: the preset that the recipe varies, or `clean`.
        seed: of the recipe's own draws.
        jpeg_quality: of the file; the recipe may hold a JPEG of its own before.
    """

    file: str
    source: str
    left: int
    top: int
    crop_width: int
    crop_height: int
    mirrored: bool
    width: int
    height: int
    kind: str
    recipe: Degradation
    seed: int
    jpeg_quality: int


def plan(number: int, seed: int, sizes: Sequence[tuple[str, int, int]]) -> Plan:
    """Draws photo `number` (from 0) of a dataset; `sizes` are the samples' names, widths and heights."""
    generator = np.random.default_rng([seed, number])
    source, width, height = sizes[number % len(sizes)]  # each sample as often as the others
    crop_width, crop_height = (
        round(side * generator.uniform(*CROP_SHARES)) for side in (width, height)
    )
    low_px, high_px = LONG_SIDES_PX
    long_side_px = (
        low_px * (high_px / low_px) ** generator.random()
    )  # as many small photos as large ones, by factor
    factor = long_side_px / max(crop_width, crop_height)
    kind = str(generator.choice([CLEAN, *PRESETS]))
    return Plan(
        file=f"{number + 1:03d}.jpg",
        source=source,
        left=int(generator.integers(0, width - crop_width + 1)),
        top=int(generator.integers(0, height - crop_height + 1)),
        crop_width=crop_width,
        crop_height=crop_height,
        mirrored=bool(generator.random() < 0.5),
        width=round(crop_width * factor),
        height=round(crop_height * factor),
        kind=kind,
        recipe=varied(PRESETS[kind], generator, high_px / long_side_px)
        if kind != CLEAN
        else Degradation(),
        seed=int(generator.integers(2**31)),
        jpeg_quality=int(generator.integers(*JPEG_QUALITIES)),
    )


def varied(
    recipe: Degradation, generator: np.random.Generator, most_downscale: float
) -> Degradation:
    """The same kind of damage, each amount between half and one and a half times as strong."""
    blur, poisson, noise, fade, scratches, jpeg, downscale = generator.uniform(0.5, 1.5, 7)
    return replace(
        recipe,
        blur=round(recipe.blur * blur, 2),
        downscale=round(max(1.0, min(recipe.downscale * downscale, most_downscale)), 2)
        if recipe.downscale > 1
        else 1.0,
        poisson=round(recipe.poisson * poisson, 2),
        noise=round(recipe.noise * noise, 2),
        fade=round(min(recipe.fade * fade, 1.0), 2),
        scratches=round(recipe.scratches * scratches),
        jpeg=recipe.jpeg and min(100, round(recipe.jpeg * jpeg)),
    )


def made(sample: Picture, planned: Plan) -> Picture:
    """The photo of a plan."""
    crop = sample[
        planned.top : planned.top + planned.crop_height,
        planned.left : planned.left + planned.crop_width,
    ]
    if planned.mirrored:
        crop = crop[:, ::-1]
    # A recipe that reduces is given as much more.
    width, height = (
        round(side * planned.recipe.downscale) for side in (planned.width, planned.height)
    )
    interpolation = cv2.INTER_AREA if width < planned.crop_width else cv2.INTER_CUBIC
    resized = cv2.resize(np.ascontiguousarray(crop), (width, height), interpolation=interpolation)
    return degrade(resized.astype(np.uint8), planned.recipe, planned.seed)


def make_dataset(
    out: Path, count: int, seed: int, samples: Sequence[Path], *, overwrite: bool = False
) -> list[Plan]:
    """Writes `count` photos and their manifest into a folder.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE when the folder holds something already and is not to be overwritten, or cannot be written to;
            PHOTO_MISSING without samples, PHOTO_FORMAT or PHOTO_DAMAGED for one that cannot be read.
    """
    if not samples:
        raise RestoreError(
            Code.PHOTO_MISSING,
            "there are no samples to make photos from",
            "Run this from a complete checkout.",
        )
    pictures = {sample.name: read_photo(sample) for sample in samples}
    sizes = [(name, picture.shape[1], picture.shape[0]) for name, picture in pictures.items()]
    plans = [plan(number, seed, sizes) for number in range(count)]
    try:
        _clear(out, overwrite=overwrite)
        for planned in tqdm(plans, unit="photo", file=sys.stderr):
            _write(made(pictures[planned.source], planned), planned, out)
        with (out / MANIFEST).open("w", newline="") as file:
            rows = csv.DictWriter(file, [f.name for f in fields(Plan)], lineterminator="\n")
            rows.writeheader()
            rows.writerows(
                {f.name: getattr(planned, f.name) for f in fields(Plan)} for planned in plans
            )
    except OSError as error:
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"'{out}' cannot be written to ({error})",
            "Choose another --out.",
        ) from error
    return plans


def _clear(out: Path, *, overwrite: bool) -> None:
    """An empty folder; of one that is to be overwritten, the photos that its manifest names go, and nothing else."""
    out.mkdir(parents=True, exist_ok=True)
    if not overwrite and any(out.iterdir()):
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"the folder '{out}' is not empty",
            "Choose another --out, or add --overwrite.",
        )
    if not (out / MANIFEST).exists():
        return
    with (out / MANIFEST).open(newline="") as file:
        names = [row.get("file") or "" for row in csv.DictReader(file)]
    for name in names:
        if name and Path(name).name == name:
            (out / name).unlink(missing_ok=True)
    (out / MANIFEST).unlink()


def _write(picture: Picture, planned: Plan, out: Path) -> None:
    grey = bool((picture == picture[..., :1]).all())
    Image.fromarray(picture[..., 0] if grey else picture).save(
        out / planned.file, "JPEG", quality=planned.jpeg_quality
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, or 2 after a refusal, which it prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--out",
        type=Path,
        default=HERE / "dataset",
        help="folder for the photos (default: data/dataset)",
    )
    parser.add_argument(
        "--count", type=int, default=100, metavar="N", help="how many (default: 100)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="of everything random (default: 1)"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the dataset that is in the folder"
    )
    options = parser.parse_args(arguments)
    if options.count < 1 or options.seed < 0:
        parser.error("--count must be at least 1, --seed at least 0")
    samples = sorted(
        HERE.glob("*.jpg"), key=lambda path: (len(path.stem), path.stem)
    )  # 2.jpg before 10.jpg
    try:
        plans = make_dataset(
            options.out, options.count, options.seed, samples, overwrite=options.overwrite
        )
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(plans)} photos and {MANIFEST} in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
