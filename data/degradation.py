"""Makes degraded copies of clean photos, to show and to measure what restoring brings back.

    python data/degrade.py photo.png --out degraded --preset old --seed 1

The same photo, recipe and seed give the same bytes. Blur kernels, noise and JPEG are basicsr's; fading and scratches are ours,
as basicsr has none.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from math import ceil
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from restore.errors import Code, RestoreError
from training.basicsr_import import import_basicsr

Pixels = NDArray[np.float32]
"""A photo being degraded: HxWx3, RGB, 0 to 1."""

Resampling = Literal["area", "bilinear", "bicubic"]
_RESAMPLING = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
_LIMITS = {
    "blur": (0, 20),
    "blur_ratio": (0.05, 1),
    "downscale": (1, 16),
    "poisson": (0, 10),
    "noise": (0, 100),
    "fade": (0, 1),
    "scratches": (0, 500),
    "jpeg": (1, 100),
}
# The colour of an old print's paper, which a fading photo moves towards.
_PAPER = np.array([0.80, 0.71, 0.52], np.float32)


@dataclass(frozen=True)
class Degradation:
    """What happens to a photo, in the order of the fields: the lens, the sensor or film, the years, the scan.

    Attributes:
        blur: standard deviation of a Gaussian blur in pixels, 0 to 20; 0 is none.
        blur_ratio: the blur's narrow over its wide direction, 0.05 to 1; below 1 it is anisotropic, at an angle by the seed.
        downscale: how many times smaller each side becomes, 1 to 16; 1 leaves the size.
        resampling: how it is downscaled; area averages, the other two alias as careless software does.
        poisson: strength of shot noise, 0 to 10, as basicsr scales it.
        noise: standard deviation of Gaussian noise in levels of 255, 0 to 100.
        fade: uneven loss of contrast and colour towards yellowed paper, 0 to 1.
        scratches: how many scratches, each with some dust, 0 to 500.
        jpeg: JPEG quality, 1 to 100; None leaves JPEG out.

    Raises:
        RestoreError: OPTION_INVALID for a value outside its range.
    """

    blur: float = 0.0
    blur_ratio: float = 1.0
    downscale: float = 1.0
    resampling: Resampling = "area"
    poisson: float = 0.0
    noise: float = 0.0
    fade: float = 0.0
    scratches: int = 0
    jpeg: int | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise RestoreError(
                    Code.OPTION_INVALID,
                    f"{name} is {value}",
                    f"Choose {name} from {low} to {high}.",
                )
        if self.resampling not in _RESAMPLING:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"resampling is '{self.resampling}'",
                f"Choose one of {', '.join(_RESAMPLING)}.",
            )

    def __str__(self) -> str:
        changed = (f for f in fields(self) if getattr(self, f.name) != f.default)
        return ", ".join(f"{f.name} {getattr(self, f.name)}" for f in changed) or "nothing"


PRESETS = {
    "noise": Degradation(poisson=0.5, noise=20.0),
    "small": Degradation(blur=0.5, downscale=4.0),
    "blurred": Degradation(blur=2.5, blur_ratio=0.5, noise=2.0),
    "jpeg": Degradation(jpeg=20),
    "old": Degradation(blur=0.8, noise=8.0, fade=0.7, scratches=8, jpeg=80),
}


def degrade(photo: NDArray[np.uint8], recipe: Degradation, seed: int) -> NDArray[np.uint8]:
    """Degrades a photo by a recipe; the same arguments give the same pixels, whatever was drawn before.

    A photo without colour stays so, except for the yellow of fading.

    Args:
        photo: HxWx3 uint8, RGB.
        recipe: what to do.
        seed: of everything random; each step draws for itself, so that one step's strength does not move another's scratches.

    Returns:
        uint8 RGB of the same size, or smaller by recipe.downscale.

    Raises:
        RestoreError: PHOTO_FORMAT for another shape or type, PHOTO_TOO_SMALL when downscaling leaves no pixel.
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise RestoreError(
            Code.PHOTO_FORMAT,
            f"{photo.dtype} of shape {photo.shape} is no 8-bit RGB",
            "Convert it to HxWx3 uint8.",
        )
    pixels: Pixels = np.divide(photo, 255.0, dtype=np.float32)
    grey = bool((photo == photo[..., :1]).all())
    if recipe.blur:
        pixels = _blurred(pixels, recipe.blur, recipe.blur_ratio, _generator(seed, "blur"))
    if recipe.downscale > 1:
        pixels = _downscaled(pixels, recipe.downscale, recipe.resampling)
    if recipe.poisson:
        with _numpy_seeded(seed, "poisson"):
            pixels = _basicsr().add_poisson_noise(pixels, recipe.poisson, gray_noise=grey)
    if recipe.noise:
        with _numpy_seeded(seed, "noise"):
            pixels = _basicsr().add_gaussian_noise(pixels, recipe.noise, gray_noise=grey)
    if recipe.fade:
        pixels = _faded(pixels, recipe.fade, _generator(seed, "fade"))
    if recipe.scratches:
        pixels = _scratched(pixels, recipe.scratches, _generator(seed, "scratches"))
    if recipe.jpeg is not None:
        pixels = _compressed(pixels, recipe.jpeg)
    return _to_uint8(pixels)


def _blurred(pixels: Pixels, sigma: float, ratio: float, generator: np.random.Generator) -> Pixels:
    angle = generator.uniform(-np.pi, np.pi)
    side = 2 * ceil(3 * sigma) + 1
    kernel = _basicsr().bivariate_Gaussian(side, sigma, sigma * ratio, angle, isotropic=ratio == 1)
    return _as_pixels(cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


def _downscaled(pixels: Pixels, factor: float, resampling: Resampling) -> Pixels:
    height, width = (round(side / factor) for side in pixels.shape[:2])
    if not height or not width:
        size = f"{pixels.shape[1]}x{pixels.shape[0]} pixels divided by {factor} leave none"
        raise RestoreError(
            Code.PHOTO_TOO_SMALL, size, "Downscale by less or start from a larger photo."
        )
    return _as_pixels(cv2.resize(pixels, (width, height), interpolation=_RESAMPLING[resampling]))


def _faded(pixels: Pixels, strength: float, generator: np.random.Generator) -> Pixels:
    """Less contrast and colour and more of the paper, everywhere but most at the edges and in a few large patches."""
    height, width = pixels.shape[:2]
    patches = cv2.resize(
        generator.random((4, 4), np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    edges = np.minimum((x**2 + y**2) / 1.5, 1.0)
    share = (strength * (0.5 + 0.3 * edges + 0.2 * patches)).astype(np.float32)[..., None]
    luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
    coloured = pixels + 0.6 * share * (luma[..., None] - pixels)
    return _as_pixels(coloured + 0.75 * share * (_PAPER - coloured))


def _scratched(pixels: Pixels, count: int, generator: np.random.Generator) -> Pixels:
    """Long thin lines as film and prints get them, most of them nearly upright and bright, with dust around."""
    height, width = pixels.shape[:2]
    thickness = max(1, round(min(height, width) / 400))
    for _ in range(count):
        opacity = np.zeros((height, width), np.uint8)
        level = (
            generator.uniform(0.8, 1.0)
            if generator.random() < 0.75
            else generator.uniform(0.0, 0.2)
        )
        cv2.polylines(
            opacity, [_scratch(height, width, generator)], False, 255, thickness, cv2.LINE_AA
        )
        for _ in range(4):
            x, y, radius = (
                generator.uniform((0, 0, 0.5), (width, height, 1.5 * thickness)) * 16
            )  # in sixteenths, by shift
            cv2.circle(
                opacity, (round(x), round(y)), round(radius), 255, cv2.FILLED, cv2.LINE_AA, shift=4
            )
        soft = cv2.GaussianBlur(opacity, (3, 3), 0.6)
        share = (soft * (generator.uniform(0.6, 1.0) / 255)).astype(np.float32)[..., None]
        pixels = pixels + share * (np.float32(level) - pixels)
    return pixels


def _scratch(height: int, width: int, generator: np.random.Generator) -> NDArray[np.int32]:
    """The corners of one wavering line, as x, y."""
    corners = int(generator.integers(4, 9))
    length = generator.uniform(0.2, 1.2) * height
    tilt = generator.normal(0, 0.15) if generator.random() < 0.8 else generator.uniform(-1.5, 1.5)
    top = np.array([generator.uniform(0, width), generator.uniform(-0.2, 0.8) * height])
    along = np.linspace(0, length, corners)
    line = top + np.stack([along * np.sin(tilt), along * np.cos(tilt)], axis=1)
    line[:, 0] += np.cumsum(generator.normal(0, 0.006 * width, corners))
    corners_px: NDArray[np.int32] = np.rint(line).astype(np.int32)
    return corners_px


def _compressed(pixels: Pixels, quality: int) -> Pixels:
    """JPEG by basicsr, which wants BGR and hands OpenCV floats: these are converted, and OpenCV remarks on it each time."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        bgr = _basicsr().add_jpg_compression(np.ascontiguousarray(pixels[..., ::-1]), quality)
    finally:
        cv2.utils.logging.setLogLevel(level)
    return _as_pixels(bgr[..., ::-1])


def _basicsr() -> ModuleType:
    return import_basicsr("data.degradations")


def _generator(seed: int, step: str) -> np.random.Generator:
    return np.random.default_rng(_seed_of(seed, step))


@contextmanager
def _numpy_seeded(seed: int, step: str) -> Iterator[None]:
    """numpy's global generator, which basicsr draws from, seeded inside and as it was outside."""
    state = np.random.get_state()
    np.random.seed(_seed_of(seed, step))
    try:
        yield
    finally:
        np.random.set_state(state)


def _seed_of(seed: int, step: str) -> int:
    return zlib.crc32(f"{seed}:{step}".encode())


def _as_pixels(array: NDArray[Any]) -> Pixels:
    return array.astype(np.float32, copy=False)


def _to_uint8(pixels: Pixels) -> NDArray[np.uint8]:
    photo: NDArray[np.uint8] = np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
    return photo


def read_photo(path: Path) -> NDArray[np.uint8]:
    """Reads a photo of 8 bits a channel as HxWx3 uint8 RGB, upright; transparency is dropped.

    Raises:
        RestoreError: PHOTO_MISSING, PHOTO_FORMAT or PHOTO_DAMAGED.
    """
    try:
        with Image.open(path) as image:
            if image.mode in {"I", "F"} or image.mode.startswith("I;"):
                raise RestoreError(
                    Code.PHOTO_FORMAT,
                    f"has pixels of type {image.mode}",
                    "Use a photo of 8 bits.",
                    photo=path.name,
                )
            return np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except FileNotFoundError as error:
        raise RestoreError(
            Code.PHOTO_MISSING, f"there is no {path}", "Check the path.", photo=path.name
        ) from error
    except UnidentifiedImageError as error:
        raise RestoreError(
            Code.PHOTO_FORMAT,
            "is no picture that can be read",
            "Use a JPEG or PNG.",
            photo=path.name,
        ) from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise RestoreError(
            Code.PHOTO_DAMAGED, f"cannot be read ({error})", "Use another copy.", photo=path.name
        ) from error


def write_photo(photo: NDArray[np.uint8], path: Path) -> None:
    """Writes PNG, or JPEG of quality 90 without chroma subsampling, by the name's ending; a photo without colour as grey.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    grey = bool((photo == photo[..., :1]).all())
    image = Image.fromarray(photo[..., 0] if grey else photo)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jpg":
            image.save(path, quality=90, subsampling=0)
        else:
            image.save(path, optimize=True)
    except OSError as error:
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE, f"{path} cannot be written ({error})", "Choose another --out."
        ) from error


def reduced(photo: NDArray[np.uint8], long_side_px: int) -> NDArray[np.uint8]:
    """Reduces a photo to a long side of long_side_px by averaging; a smaller one stays as it is."""
    factor = max(photo.shape[:2]) / long_side_px
    return degrade(photo, Degradation(downscale=factor), 0) if factor > 1 else photo


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0, or 2 after a RestoreError, which it prints."""
    options = _parser().parse_args(arguments)
    given = {
        f.name: getattr(options, f.name)
        for f in fields(Degradation)
        if getattr(options, f.name) is not None
    }
    try:
        recipe = replace(PRESETS[options.preset] if options.preset else Degradation(), **given)
        targets = _targets(options.photos, options.out, options.format)
        for number, (source, target) in enumerate(targets.items()):
            seed = options.seed + number
            photo = read_photo(source)
            if options.long_side:
                photo = reduced(photo, options.long_side)
            degraded = degrade(photo, recipe, seed)
            write_photo(degraded, target)
            print(
                f"{source} -> {target}: {degraded.shape[1]}x{degraded.shape[0]}, {recipe}, seed {seed}"
            )
    except RestoreError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _targets(photos: Sequence[Path], out: Path, ending: str) -> dict[Path, Path]:
    """Where each photo's degraded copy goes, checked before the first is written."""
    targets = {source: out / f"{source.stem}.{ending}" for source in photos}
    sources = {source.resolve() for source in photos}
    written = [target.resolve() for target in targets.values()]
    for source, target in targets.items():
        if target.resolve() in sources or written.count(target.resolve()) > 1:
            raise RestoreError(
                Code.OUTPUT_UNWRITABLE,
                f"{target} would overwrite another photo",
                "Choose another --out.",
                photo=source.name,
            )
    return targets


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Makes degraded copies of clean photos; every amount overrides the preset's."
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    parser.add_argument("--out", type=Path, required=True, help="folder for the copies")
    parser.add_argument(
        "--seed",
        type=int,
        default=1,
        help="of the first photo, one more for each further one (default 1)",
    )
    parser.add_argument(
        "--format",
        choices=("png", "jpg"),
        default="png",
        help="png keeps exactly what was made (default)",
    )
    parser.add_argument(
        "--long-side", type=_pixels, metavar="PX", help="reduce the clean photo to this first"
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        help="; ".join(f"{name}: {recipe}" for name, recipe in PRESETS.items()),
    )
    parser.add_argument(
        "--blur", type=float, metavar="PX", help="Gaussian blur's standard deviation"
    )
    parser.add_argument(
        "--blur-ratio", type=float, metavar="R", help="below 1: a blur narrower in one direction"
    )
    parser.add_argument(
        "--downscale", type=float, metavar="N", help="make each side N times smaller"
    )
    parser.add_argument("--resampling", choices=_RESAMPLING, help="how to downscale")
    parser.add_argument("--poisson", type=float, metavar="X", help="shot noise")
    parser.add_argument(
        "--noise", type=float, metavar="LEVELS", help="Gaussian noise's standard deviation, of 255"
    )
    parser.add_argument("--fade", type=float, metavar="F", help="0 to 1")
    parser.add_argument("--scratches", type=int, metavar="N")
    parser.add_argument("--jpeg", type=int, metavar="QUALITY")
    return parser


def _pixels(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
