"""Make many varied photos from the samples in this folder, to measure computing time.

    python data/make_dataset.py --count 100 --seed 1

Each photo is a crop of a sample, possibly mirrored, resized, degraded with one of the presets of
degradation.py and written as JPEG; `manifest.csv` records how. The same seed and library versions
give the same bytes, and photo n does not depend on the count. The photos are not suited to measure
quality: those larger than their sample have no more detail than it.
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
from PIL import Image
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data.degradation import PRESETS, Degradation, Photo, degrade, has_no_colour
from data.photo_files import read_photo
from restore.errors import Code, RestoreError

SAMPLES = Path(__file__).resolve().parent
MANIFEST = "manifest.csv"
MIN_PX, MAX_PX = 128, 1024
"""Bounds of the longer side of a photo."""
CROP_SHARES = (0.5, 1.0)
JPEG_QUALITIES = (60, 96)
VARIATION = (0.5, 1.5)  # of each value of a preset
CLEAN = "clean"


@dataclass(frozen=True)
class PhotoPlan:
    """How one photo is made: one row of the manifest.

    Attributes:
        file: name of the file.
        source: name of the sample.
        left: left side of the crop, in pixels of the sample.
        top: top of the crop.
        crop_width: width of the crop.
        crop_height: height of the crop.
        mirrored: whether the crop is mirrored.
        width: width of the photo in pixels.
        height: height of the photo in pixels.
        kind: name of the preset, or `clean`.
        recipe: the preset with varied values.
        seed: seed of the degradation.
        jpeg_quality: quality of the file; the degradation may include another JPEG before.
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


def plan_photo(
    index: int, seed: int, sizes: Sequence[tuple[str, int, int]], max_px: int = MAX_PX
) -> PhotoPlan:
    """Draw the plan of one photo.

    Args:
        index: index of the photo in the dataset, from 0.
        seed: seed of the dataset.
        sizes: name, width and height of each sample; samples are used in turn.
        max_px: bound of the longer side.
    """
    generator = np.random.default_rng([seed, index])
    source, width, height = sizes[index % len(sizes)]
    crop_width, crop_height = (
        round(side * generator.uniform(*CROP_SHARES)) for side in (width, height)
    )
    long_side_px = MIN_PX * (max_px / MIN_PX) ** generator.random()  # uniform in its logarithm
    factor = long_side_px / max(crop_width, crop_height)
    kind = str(generator.choice([CLEAN, *PRESETS]))
    return PhotoPlan(
        file=f"{index + 1:03d}.jpg",
        source=source,
        left=int(generator.integers(0, width - crop_width + 1)),
        top=int(generator.integers(0, height - crop_height + 1)),
        crop_width=crop_width,
        crop_height=crop_height,
        mirrored=bool(generator.random() < 0.5),
        width=round(crop_width * factor),
        height=round(crop_height * factor),
        kind=kind,
        recipe=vary_recipe(PRESETS[kind], generator, max_px / long_side_px)
        if kind != CLEAN
        else Degradation(),
        seed=int(generator.integers(2**31)),
        jpeg_quality=int(generator.integers(*JPEG_QUALITIES)),
    )


def vary_recipe(
    recipe: Degradation, generator: np.random.Generator, max_downscale: float
) -> Degradation:
    """Scale each value of a preset by a random factor of 0.5 to 1.5."""
    blur, poisson, noise, fade, scratches, jpeg, downscale = generator.uniform(*VARIATION, 7)
    scaled_downscale = max(1.0, min(recipe.downscale * downscale, max_downscale))
    return replace(
        recipe,
        blur=round(recipe.blur * blur, 2),
        downscale=round(scaled_downscale, 2) if recipe.downscale > 1 else 1.0,
        poisson=round(recipe.poisson * poisson, 2),
        noise=round(recipe.noise * noise, 2),
        fade=round(min(recipe.fade * fade, 1.0), 2),
        scratches=round(recipe.scratches * scratches),
        jpeg=recipe.jpeg and min(100, round(recipe.jpeg * jpeg)),
    )


def make_photo(sample: Photo, plan: PhotoPlan) -> Photo:
    """Make the photo of a plan from its sample."""
    rows = slice(plan.top, plan.top + plan.crop_height)
    columns = slice(plan.left, plan.left + plan.crop_width)
    crop = sample[rows, columns]
    if plan.mirrored:
        crop = crop[:, ::-1]
    # A recipe that downscales starts from a larger photo, so that the result has the planned size.
    width, height = (round(side * plan.recipe.downscale) for side in (plan.width, plan.height))
    interpolation = cv2.INTER_AREA if width < plan.crop_width else cv2.INTER_CUBIC
    resized = cv2.resize(np.ascontiguousarray(crop), (width, height), interpolation=interpolation)
    return degrade(resized.astype(np.uint8), plan.recipe, plan.seed)


def make_dataset(
    out: Path,
    count: int,
    seed: int,
    samples: Sequence[Path],
    *,
    overwrite: bool = False,
    max_px: int = MAX_PX,
) -> list[PhotoPlan]:
    """Write photos and their manifest into a folder.

    Args:
        out: the folder, which must be empty unless `overwrite` is set.
        count: number of photos.
        seed: seed of all random values.
        samples: files that crops are taken from.
        overwrite: delete an earlier dataset in the folder.
        max_px: bound of the longer side of a photo, at least MIN_PX.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE if the folder is not empty or cannot be written to;
            PHOTO_MISSING without samples; PHOTO_FORMAT or PHOTO_DAMAGED for an unreadable sample.
    """
    if not samples:
        raise RestoreError(
            Code.PHOTO_MISSING,
            "there are no sample photos in the folder data",
            "Run this in a complete checkout.",
        )
    photos = {sample.name: read_photo(sample) for sample in samples}
    sizes = [(name, photo.shape[1], photo.shape[0]) for name, photo in photos.items()]
    plans = [plan_photo(index, seed, sizes, max_px) for index in range(count)]
    try:
        _prepare_folder(out, overwrite=overwrite)
        for plan in tqdm(plans, unit="photo", file=sys.stderr):
            _write_jpeg(make_photo(photos[plan.source], plan), plan, out)
        _write_manifest(plans, out)
    except OSError as error:
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"'{out}' cannot be written to ({error})",
            "Choose another --out.",
        ) from error
    return plans


def _prepare_folder(out: Path, *, overwrite: bool) -> None:
    """Create the folder; with `overwrite`, delete its manifest and the photos listed there."""
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


def _write_jpeg(photo: Photo, plan: PhotoPlan, out: Path) -> None:
    image = Image.fromarray(photo[..., 0] if has_no_colour(photo) else photo)
    image.save(out / plan.file, "JPEG", quality=plan.jpeg_quality)


def _write_manifest(plans: Sequence[PhotoPlan], out: Path) -> None:
    names = [field.name for field in fields(PhotoPlan)]
    with (out / MANIFEST).open("w", newline="") as file:
        rows = csv.DictWriter(file, names, lineterminator="\n")
        rows.writeheader()
        rows.writerows({name: getattr(plan, name) for name in names} for plan in plans)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    summary, *_ = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument(
        "--out",
        type=Path,
        default=SAMPLES / "dataset",
        metavar="FOLDER",
        help="folder for the photos (default: data/dataset)",
    )
    parser.add_argument(
        "--count", type=int, default=100, metavar="N", help="number of photos (default: 100)"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of all random values (default: 1)"
    )
    parser.add_argument(
        "--max-px",
        type=int,
        default=MAX_PX,
        metavar="N",
        help=f"largest longer side in pixels (default: {MAX_PX})",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the dataset in the folder"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0, or 2 after a RestoreError, which is printed.
    """
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.count < 1 or options.seed < 0 or options.max_px < MIN_PX:
        parser.error(f"--count must be at least 1, --seed at least 0, --max-px at least {MIN_PX}")
    samples = sorted(SAMPLES.glob("*.jpg"), key=lambda path: int(path.stem))
    try:
        plans = make_dataset(
            options.out,
            options.count,
            options.seed,
            samples,
            overwrite=options.overwrite,
            max_px=options.max_px,
        )
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{len(plans)} photos and {MANIFEST} in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
