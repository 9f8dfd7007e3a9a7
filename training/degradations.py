"""What becomes of photos on their way through cameras, editors and networks: the second-order degradation of Real-ESRGAN.

Written from Wang et al., ICCVW 2021, sections 3.1 to 3.4, and the ranges of their appendix: blur, resizing, noise and JPEG, twice,
with the ringing of a sinc filter at either stage's end.
"""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
from scipy.special import j1

from training.recipe import Photo

KERNEL_SIDES_PX = tuple(range(7, 22, 2))
SHAPES = ("gaussian", "generalised", "plateau")
SHAPE_ODDS = (0.70, 0.15, 0.15)
ISOTROPIC = 0.64  # of the kernels
SINC = 0.1  # of the kernels
SINC_AT_LAST = 0.8
RESIZINGS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
GAUSSIAN_NOISE = 0.5  # of the noise; the rest is Poisson's
GREY_NOISE = 0.4  # of the noise is the same in all channels
QUALITIES = (30, 95)  # of JPEG


@dataclasses.dataclass(frozen=True)
class Order:
    """The ranges of one of the two passes.

    Attributes:
        blurred: how often there is a blur.
        sigma: standard deviation of the blur in pixels.
        resized: how often it is enlarged, reduced and left.
        factors: the least and the greatest factor of that.
        gaussian: standard deviation of Gaussian noise in levels of 255.
        poisson: strength of Poisson noise: 1 is that of a pixel of 255 photons where it is white.
    """

    blurred: float
    sigma: tuple[float, float]
    resized: tuple[float, float, float]
    factors: tuple[float, float]
    gaussian: tuple[float, float]
    poisson: tuple[float, float]


FIRST = Order(1.0, (0.2, 3.0), (0.2, 0.7, 0.1), (0.15, 1.5), (1.0, 30.0), (0.05, 3.0))
SECOND = Order(0.8, (0.2, 1.5), (0.3, 0.4, 0.3), (0.3, 1.2), (1.0, 25.0), (0.05, 2.5))


def worn(photo: Photo, size: tuple[int, int], rng: np.random.Generator) -> Photo:
    """A clean photo (HxWx3 uint8) after both passes, at (width, height) = `size`."""
    height, width = photo.shape[:2]
    image = photo.astype(np.float32)
    image = _noisy(_resized(_blurred(image, FIRST, rng), (width, height), FIRST, rng), FIRST, rng)
    image = compressed(image, rng).astype(np.float32)
    image = _noisy(_resized(_blurred(image, SECOND, rng), size, SECOND, rng), SECOND, rng)
    # JPEG after the last resizing and the ringing, or before them: both happen.
    if rng.random() < 0.5:
        return compressed(_at_last(image, size, rng), rng)
    return quantised(_at_last(compressed(image, rng).astype(np.float32), size, rng))


def lightly_worn(photo: Photo, size: tuple[int, int], rng: np.random.Generator) -> Photo:
    """The same photo as a good camera or a careful website has it: little blur and noise, one reduction, JPEG from 60."""
    image: np.ndarray = photo.astype(np.float32)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5))
    image = cv2.resize(image, size, interpolation=_resizing(rng))
    image = image + rng.uniform(0.0, 8.0) * rng.standard_normal(image.shape, np.float32) * (
        rng.random() < 0.6
    )
    return compressed(image, rng, (60, 96)) if rng.random() < 0.7 else quantised(image)


def quantised(image: np.ndarray) -> Photo:
    """Rounded and clipped to 8 bits."""
    return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)


def compressed(
    image: np.ndarray, rng: np.random.Generator, qualities: tuple[int, int] = QUALITIES
) -> Photo:
    """Through JPEG of a random quality."""
    options = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(qualities[0], qualities[1] + 1))]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(quantised(image)[..., ::-1]), options)
    return np.ascontiguousarray(
        np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    )


def blur_kernel(sigma: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """A random kernel of 7 to 21 px: isotropic or not, Gaussian, generalised Gaussian or plateau, or a sinc; it sums to 1."""
    side = int(rng.choice(KERNEL_SIDES_PX))
    if rng.random() < SINC:
        return sinc_kernel(rng.uniform(np.pi / 3 if side < 13 else np.pi / 5, np.pi), side)
    wide = rng.uniform(*sigma)
    narrow = wide if rng.random() < ISOTROPIC else rng.uniform(*sigma)
    angle, shape = rng.uniform(-np.pi, np.pi), str(rng.choice(SHAPES, p=SHAPE_ODDS))
    y, x = _grid(side)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    squared = (along / wide) ** 2 + (across / narrow) ** 2
    if shape == "plateau":
        kernel = 1.0 / (1.0 + squared ** rng.uniform(1.0, 2.0))
    else:
        kernel = np.exp(
            -0.5 * squared ** (rng.uniform(0.5, 4.0) if shape == "generalised" else 1.0)
        )
    return np.asarray(kernel / kernel.sum(), np.float32)


@functools.lru_cache(maxsize=16)
def _grid(side_px: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:side_px, :side_px].astype(np.float64) - side_px // 2
    return y, x


def sinc_kernel(cutoff: float, side_px: int) -> np.ndarray:
    """The circular low pass of that cutoff in radians a pixel, cut off at the kernel's border: it rings and overshoots; sums to 1."""
    y, x = _grid(side_px)
    radius = np.hypot(x, y)
    centre = radius == 0
    far = np.where(centre, 1.0, radius)
    kernel = np.where(
        centre, cutoff**2 / (4 * np.pi), cutoff * j1(cutoff * far) / (2 * np.pi * far)
    )
    return np.asarray(kernel / kernel.sum(), np.float32)


def _filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.asarray(
        cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32
    )


def _blurred(image: np.ndarray, order: Order, rng: np.random.Generator) -> np.ndarray:
    return (
        _filtered(image, blur_kernel(order.sigma, rng)) if rng.random() < order.blurred else image
    )


def _resizing(rng: np.random.Generator) -> int:
    return int(RESIZINGS[int(rng.integers(0, len(RESIZINGS)))])


def _resized(
    image: np.ndarray, size: tuple[int, int], order: Order, rng: np.random.Generator
) -> np.ndarray:
    """At a random factor of (width, height) = `size`."""
    how, (least, greatest) = rng.choice(3, p=order.resized), order.factors
    factor = (rng.uniform(1.0, greatest), rng.uniform(least, 1.0), 1.0)[how]
    wanted = (max(round(size[0] * factor), 4), max(round(size[1] * factor), 4))
    return np.asarray(cv2.resize(image, wanted, interpolation=_resizing(rng)), np.float32)


def _noisy(image: np.ndarray, order: Order, rng: np.random.Generator) -> np.ndarray:
    is_grey = rng.random() < GREY_NOISE
    shape = (*image.shape[:2], 1 if is_grey else 3)
    if rng.random() < GAUSSIAN_NOISE:
        noise = rng.uniform(*order.gaussian) * rng.standard_normal(shape, np.float32)
    else:
        clean = np.clip(image.mean(axis=2, keepdims=True) if is_grey else image, 0, 255)
        noise = rng.uniform(*order.poisson) * (rng.poisson(clean) - clean).astype(np.float32)
    return np.asarray(np.clip(image + noise, 0, 255), np.float32)


def _at_last(image: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    image = np.asarray(cv2.resize(image, size, interpolation=_resizing(rng)), np.float32)
    if rng.random() >= SINC_AT_LAST:
        return image
    return _filtered(
        image, sinc_kernel(rng.uniform(np.pi / 3, np.pi), int(rng.choice(KERNEL_SIDES_PX)))
    )
