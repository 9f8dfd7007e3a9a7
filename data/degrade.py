"""Make degraded copies of clean photos.

    python data/degrade.py photo.png --out degraded --preset old --seed 1

The same photo, options and seed give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from data.degradation import PRESETS, RESAMPLING_FILTERS, Degradation, degrade, reduce_to
from data.photo_files import read_photo, write_photo
from restore.errors import Code, RestoreError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit status: 0, or 2 after a RestoreError, which is printed.
    """
    options = build_parser().parse_args(arguments)
    try:
        recipe = _recipe_from(options)
        targets = _target_files(options.photos, options.out, options.format)
        for index, (source, target) in enumerate(targets.items()):
            seed = options.seed + index
            photo = read_photo(source)
            if options.long_side:
                photo = reduce_to(photo, options.long_side)
            degraded = degrade(photo, recipe, seed)
            write_photo(degraded, target)
            size = f"{degraded.shape[1]}x{degraded.shape[0]}"
            print(f"{source} -> {target}: {size}, {recipe}, seed {seed}")
    except RestoreError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _recipe_from(options: argparse.Namespace) -> Degradation:
    """Return the preset with the values that are given on the command line."""
    values = {field.name: getattr(options, field.name) for field in fields(Degradation)}
    given = {name: value for name, value in values.items() if value is not None}
    return replace(PRESETS[options.preset] if options.preset else Degradation(), **given)


def _target_files(photos: Sequence[Path], out: Path, suffix: str) -> dict[Path, Path]:
    """Return the file of each degraded copy.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE if a copy would overwrite a photo or another copy.
    """
    targets = {source: out / f"{source.stem}.{suffix}" for source in photos}
    sources = {source.resolve() for source in photos}
    resolved = [target.resolve() for target in targets.values()]
    for source, target in targets.items():
        if target.resolve() in sources or resolved.count(target.resolve()) > 1:
            raise RestoreError(
                Code.OUTPUT_UNWRITABLE,
                f"{target} would overwrite another photo",
                "Choose another --out.",
                photo=source.name,
            )
    return targets


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        description="Make degraded copies of clean photos. Options override the preset."
    )
    add = parser.add_argument
    add("photos", nargs="+", type=Path, metavar="PHOTO")
    add("--out", type=Path, required=True, metavar="FOLDER", help="folder for the copies")
    add(
        "--seed",
        type=int,
        default=1,
        help="seed of the first photo; each further photo has the next number (default: 1)",
    )
    add(
        "--format",
        choices=("png", "jpg"),
        default="png",
        help="png is lossless, jpg has quality 90 (default: png)",
    )
    add("--long-side", type=_positive, metavar="PX", help="reduce the clean photo to this first")
    add(
        "--preset",
        choices=PRESETS,
        help="; ".join(f"{name}: {recipe}" for name, recipe in PRESETS.items()),
    )
    add("--blur", type=float, metavar="PX", help="standard deviation of a Gaussian blur")
    add(
        "--blur-ratio",
        type=float,
        metavar="RATIO",
        help="smaller over larger standard deviation; below 1 the blur is anisotropic",
    )
    add("--downscale", type=float, metavar="FACTOR", help="reduce each side by this factor")
    add("--resampling", choices=RESAMPLING_FILTERS, help="filter of the reduction")
    add("--poisson", type=float, metavar="STRENGTH", help="shot noise, 0 to 10")
    add(
        "--noise",
        type=float,
        metavar="LEVELS",
        help="standard deviation of Gaussian noise, in levels of 255",
    )
    add("--fade", type=float, metavar="STRENGTH", help="fading, 0 to 1")
    add("--scratches", type=int, metavar="N", help="number of scratches")
    add("--jpeg", type=int, metavar="QUALITY", help="JPEG quality, 1 to 100")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
