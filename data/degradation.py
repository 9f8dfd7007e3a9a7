"""Degradations of clean photos: blur, downscaling, noise, fading, scratches and JPEG.

Blur kernels, noise and JPEG are those of basicsr. basicsr has no fading and no scratches.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from math import ceil
from types import ModuleType
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from restore.errors import Code, RestoreError
from training.basicsr_import import import_basicsr

Photo = NDArray[np.uint8]
"""HxWx3 RGB."""
Pixels = NDArray[np.float32]
"""HxWx3 RGB in [0, 1], while a photo is being degraded."""

Resampling = Literal["area", "bilinear", "bicubic"]
RESAMPLING_FILTERS = {
    "area": cv2.INTER_AREA,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
}
LIMITS = {
    "blur": (0, 20),
    "blur_ratio": (0.05, 1),
    "downscale": (1, 16),
    "poisson": (0, 10),
    "noise": (0, 100),
    "fade": (0, 1),
    "scratches": (0, 500),
    "jpeg": (1, 100),
}
PAPER_COLOUR = np.array([0.80, 0.71, 0.52], np.float32)  # fading moves colours towards it
LUMA_WEIGHTS = np.array([0.299, 0.587, 0.114], np.float32)
SPECKS_PER_SCRATCH = 4
SUBPIXEL_BITS = 4  # specks are drawn in units of 1/16 px


@dataclass(frozen=True)
class Degradation:
    """How a photo is degraded. The steps are applied in the order of the fields.

    Attributes:
        blur: standard deviation of a Gaussian blur in pixels, 0 to 20; 0 is no blur.
        blur_ratio: ratio of the smaller to the larger standard deviation, 0.05 to 1. Below 1, the
            blur is anisotropic with a random angle.
        downscale: factor by which each side is reduced, 1 to 16.
        resampling: filter of the reduction. `area` averages; the others alias.
        poisson: strength of shot noise as basicsr scales it, 0 to 10.
        noise: standard deviation of Gaussian noise in levels of 255, 0 to 100.
        fade: uneven loss of contrast and colour towards yellowed paper, 0 to 1.
        scratches: number of scratches, each with some dust, 0 to 500.
        jpeg: JPEG quality, 1 to 100; None is no JPEG.

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
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise RestoreError(
                    Code.OPTION_INVALID,
                    f"{name} is {value}",
                    f"Choose {name} from {low} to {high}.",
                )
        if self.resampling not in RESAMPLING_FILTERS:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"resampling is '{self.resampling}'",
                f"Choose one of {', '.join(RESAMPLING_FILTERS)}.",
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


def degrade(photo: Photo, recipe: Degradation, seed: int) -> Photo:
    """Degrade a photo; the same arguments give the same pixels.

    A photo without colour stays without colour, except for the yellow of fading.

    Args:
        photo: HxWx3 uint8 RGB.
        recipe: the steps.
        seed: seed of all random values. Each step has its own generator, so that the strength of
            one step does not affect the random values of another.

    Returns:
        uint8 RGB of the same size, reduced by `recipe.downscale`.

    Raises:
        RestoreError: PHOTO_FORMAT for another shape or dtype, PHOTO_TOO_SMALL if downscaling
            leaves no pixel.
    """
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise RestoreError(
            Code.PHOTO_FORMAT,
            f"an array of {photo.dtype} and shape {photo.shape} is not 8-bit RGB",
            "Convert it to HxWx3 uint8.",
        )
    pixels: Pixels = np.divide(photo, 255.0, dtype=np.float32)
    if recipe.blur:
        pixels = _blur(pixels, recipe.blur, recipe.blur_ratio, _generator(seed, "blur"))
    if recipe.downscale > 1:
        pixels = _downscale(pixels, recipe.downscale, recipe.resampling)
    pixels = _add_noise(pixels, recipe, seed, is_grey=has_no_colour(photo))
    if recipe.fade:
        pixels = _fade(pixels, recipe.fade, _generator(seed, "fade"))
    if recipe.scratches:
        pixels = _scratch(pixels, recipe.scratches, _generator(seed, "scratches"))
    if recipe.jpeg is not None:
        pixels = _compress(pixels, recipe.jpeg)
    degraded: Photo = np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
    return degraded


def reduce_to(photo: Photo, long_side_px: int) -> Photo:
    """Reduce a photo to a long side by averaging; a smaller photo is returned as it is."""
    factor = max(photo.shape[:2]) / long_side_px
    return degrade(photo, Degradation(downscale=factor), 0) if factor > 1 else photo


def has_no_colour(photo: Photo) -> bool:
    """Return whether all channels are equal."""
    return bool((photo == photo[..., :1]).all())


def _blur(pixels: Pixels, sigma: float, ratio: float, generator: np.random.Generator) -> Pixels:
    angle = generator.uniform(-np.pi, np.pi)
    side = 2 * ceil(3 * sigma) + 1
    kernel = _basicsr().bivariate_Gaussian(side, sigma, sigma * ratio, angle, isotropic=ratio == 1)
    return _as_pixels(cv2.filter2D(pixels, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


def _downscale(pixels: Pixels, factor: float, resampling: Resampling) -> Pixels:
    height, width = (round(side / factor) for side in pixels.shape[:2])
    if not height or not width:
        raise RestoreError(
            Code.PHOTO_TOO_SMALL,
            f"{pixels.shape[1]}x{pixels.shape[0]} pixels divided by {factor} leave none",
            "Downscale by less or start from a larger photo.",
        )
    interpolation = RESAMPLING_FILTERS[resampling]
    return _as_pixels(cv2.resize(pixels, (width, height), interpolation=interpolation))


def _add_noise(pixels: Pixels, recipe: Degradation, seed: int, *, is_grey: bool) -> Pixels:
    """Add shot noise and Gaussian noise, equal in all channels for a photo without colour."""
    if recipe.poisson:
        with _numpy_seed(seed, "poisson"):
            pixels = _basicsr().add_poisson_noise(pixels, recipe.poisson, gray_noise=is_grey)
    if recipe.noise:
        with _numpy_seed(seed, "noise"):
            pixels = _basicsr().add_gaussian_noise(pixels, recipe.noise, gray_noise=is_grey)
    return pixels


def _fade(pixels: Pixels, strength: float, generator: np.random.Generator) -> Pixels:
    """Move contrast and colour towards paper, most at the borders and in a few large patches."""
    height, width = pixels.shape[:2]
    patches = cv2.resize(
        generator.random((4, 4), np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    borders = np.minimum((x**2 + y**2) / 1.5, 1.0)
    weight = (strength * (0.5 + 0.3 * borders + 0.2 * patches)).astype(np.float32)[..., None]
    luma = pixels @ LUMA_WEIGHTS
    desaturated = pixels + 0.6 * weight * (luma[..., None] - pixels)
    return _as_pixels(desaturated + 0.75 * weight * (PAPER_COLOUR - desaturated))


def _scratch(pixels: Pixels, count: int, generator: np.random.Generator) -> Pixels:
    """Draw long thin lines with dust around them, most of them nearly vertical and bright."""
    height, width = pixels.shape[:2]
    thickness = max(1, round(min(height, width) / 400))
    for _ in range(count):
        is_bright = generator.random() < 0.75
        level = generator.uniform(0.8, 1.0) if is_bright else generator.uniform(0.0, 0.2)
        opacity = np.zeros((height, width), np.uint8)
        line = _scratch_line(height, width, generator)
        cv2.polylines(opacity, [line], False, 255, thickness, cv2.LINE_AA)
        for _ in range(SPECKS_PER_SCRATCH):
            _draw_speck(opacity, 1.5 * thickness, generator)
        soft = cv2.GaussianBlur(opacity, (3, 3), 0.6)
        weight = (soft * (generator.uniform(0.6, 1.0) / 255)).astype(np.float32)[..., None]
        pixels = pixels + weight * (np.float32(level) - pixels)
    return pixels


def _draw_speck(opacity: Photo, max_radius: float, generator: np.random.Generator) -> None:
    height, width = opacity.shape
    speck = generator.uniform((0, 0, 0.5), (width, height, max_radius)) * 2**SUBPIXEL_BITS
    x, y, radius = (round(value) for value in speck)
    cv2.circle(opacity, (x, y), radius, 255, cv2.FILLED, cv2.LINE_AA, shift=SUBPIXEL_BITS)


def _scratch_line(height: int, width: int, generator: np.random.Generator) -> NDArray[np.int32]:
    """Return the corners of an uneven line as (x, y)."""
    corners = int(generator.integers(4, 9))
    length = generator.uniform(0.2, 1.2) * height
    tilt = generator.normal(0, 0.15) if generator.random() < 0.8 else generator.uniform(-1.5, 1.5)
    start = np.array([generator.uniform(0, width), generator.uniform(-0.2, 0.8) * height])
    distance = np.linspace(0, length, corners)
    line = start + np.stack([distance * np.sin(tilt), distance * np.cos(tilt)], axis=1)
    line[:, 0] += np.cumsum(generator.normal(0, 0.006 * width, corners))
    corners_px: NDArray[np.int32] = np.rint(line).astype(np.int32)
    return corners_px


def _compress(pixels: Pixels, quality: int) -> Pixels:
    """Apply JPEG with basicsr, which takes BGR and makes OpenCV warn about float input."""
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
    return np.random.default_rng(_seed_for_step(seed, step))


@contextmanager
def _numpy_seed(seed: int, step: str) -> Iterator[None]:
    """Seed numpy's global generator, which basicsr uses, and restore its state afterwards."""
    state = np.random.get_state()
    np.random.seed(_seed_for_step(seed, step))
    try:
        yield
    finally:
        np.random.set_state(state)


def _seed_for_step(seed: int, step: str) -> int:
    return zlib.crc32(f"{seed}:{step}".encode())


def _as_pixels(array: NDArray[Any]) -> Pixels:
    return array.astype(np.float32, copy=False)
