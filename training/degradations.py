"""Degradations of photos: the second-order model of Real-ESRGAN, and a light variant.

Implemented from Wang et al., ICCVW 2021, sections 3.1 to 3.4 and the ranges of their appendix:
blur, resizing, noise and JPEG, applied twice, and a final sinc filter that causes ringing.
"""

from __future__ import annotations

import dataclasses
import functools

import cv2
import numpy as np
from scipy.special import j1

from training.recipe import Photo

KERNEL_SIDES_PX = tuple(range(7, 22, 2))
KERNEL_SHAPES = ("gaussian", "generalised", "plateau")
KERNEL_SHAPE_PROBABILITIES = (0.70, 0.15, 0.15)
ISOTROPIC_PROBABILITY = 0.64
SINC_PROBABILITY = 0.1  # of a blur kernel
FINAL_SINC_PROBABILITY = 0.8
INTERPOLATIONS = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)
GAUSSIAN_NOISE_PROBABILITY = 0.5  # otherwise Poisson noise
GREY_NOISE_PROBABILITY = 0.4  # the noise is equal in all channels
JPEG_QUALITIES = (30, 95)
LIGHT_JPEG_QUALITIES = (60, 96)


@dataclasses.dataclass(frozen=True)
class DegradationRanges:
    """The ranges of one of the two passes.

    Attributes:
        blur_probability: probability of a blur.
        blur_sigma_px: standard deviation of the blur.
        resize_probabilities: of enlarging, reducing and keeping the size.
        resize_factors: smallest and largest factor.
        gaussian_sigma: standard deviation of Gaussian noise in levels of 255.
        poisson_scale: strength of Poisson noise; 1 corresponds to 255 photons in a white pixel.
    """

    blur_probability: float
    blur_sigma_px: tuple[float, float]
    resize_probabilities: tuple[float, float, float]
    resize_factors: tuple[float, float]
    gaussian_sigma: tuple[float, float]
    poisson_scale: tuple[float, float]


FIRST_PASS = DegradationRanges(
    1.0, (0.2, 3.0), (0.2, 0.7, 0.1), (0.15, 1.5), (1.0, 30.0), (0.05, 3.0)
)
SECOND_PASS = DegradationRanges(
    0.8, (0.2, 1.5), (0.3, 0.4, 0.3), (0.3, 1.2), (1.0, 25.0), (0.05, 2.5)
)


def degrade_second_order(photo: Photo, size: tuple[int, int], rng: np.random.Generator) -> Photo:
    """Apply both passes to a clean photo.

    Args:
        photo: HxWx3 uint8.
        size: (width, height) of the result.
        rng: random generator.
    """
    height, width = photo.shape[:2]
    image = _apply_pass(photo.astype(np.float32), (width, height), FIRST_PASS, rng)
    image = compress_randomly(image, rng).astype(np.float32)
    image = _apply_pass(image, size, SECOND_PASS, rng)
    # JPEG after the last resizing and the sinc filter, or before them: both occur in practice.
    if rng.random() < 0.5:
        return compress_randomly(_resize_and_ring(image, size, rng), rng)
    compressed = compress_randomly(image, rng).astype(np.float32)
    return quantise(_resize_and_ring(compressed, size, rng))


def degrade_lightly(photo: Photo, size: tuple[int, int], rng: np.random.Generator) -> Photo:
    """Apply little blur and noise, one reduction and JPEG of quality 60 or more.

    Args:
        photo: HxWx3 uint8.
        size: (width, height) of the result.
        rng: random generator.
    """
    image: np.ndarray = photo.astype(np.float32)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.5))
    image = cv2.resize(image, size, interpolation=random_interpolation(rng))
    noise = rng.uniform(0.0, 8.0) * rng.standard_normal(image.shape, np.float32)
    image = image + noise * (rng.random() < 0.6)
    if rng.random() < 0.7:
        return compress_randomly(image, rng, LIGHT_JPEG_QUALITIES)
    return quantise(image)


def quantise(image: np.ndarray) -> Photo:
    """Round and clip to 8 bits."""
    return np.asarray(np.clip(np.rint(image), 0, 255), np.uint8)


def jpeg_round_trip(image: np.ndarray, quality: int) -> np.ndarray:
    """Encode and decode a uint8 image with OpenCV: HxWx3 in BGR order, or HxW."""
    mode = cv2.IMREAD_COLOR if image.ndim == 3 else cv2.IMREAD_GRAYSCALE
    _, encoded = cv2.imencode(
        ".jpg", np.ascontiguousarray(image), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    return np.asarray(cv2.imdecode(encoded, mode), np.uint8)


def compress_randomly(
    image: np.ndarray, rng: np.random.Generator, qualities: tuple[int, int] = JPEG_QUALITIES
) -> Photo:
    """Apply JPEG of a random quality to an RGB image of 0 to 255."""
    quality = int(rng.integers(qualities[0], qualities[1] + 1))
    return np.ascontiguousarray(jpeg_round_trip(quantise(image)[..., ::-1], quality)[..., ::-1])


def random_blur_kernel(sigma_px: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Draw a blur kernel of 7 to 21 px that sums to 1.

    It is a sinc kernel, or a Gaussian, generalised Gaussian or plateau kernel, isotropic or not.
    """
    side = int(rng.choice(KERNEL_SIDES_PX))
    if rng.random() < SINC_PROBABILITY:
        return sinc_kernel(rng.uniform(np.pi / 3 if side < 13 else np.pi / 5, np.pi), side)
    sigma_1 = rng.uniform(*sigma_px)
    sigma_2 = sigma_1 if rng.random() < ISOTROPIC_PROBABILITY else rng.uniform(*sigma_px)
    angle = rng.uniform(-np.pi, np.pi)
    shape = str(rng.choice(KERNEL_SHAPES, p=KERNEL_SHAPE_PROBABILITIES))
    y, x = _grid(side)
    axis_1, axis_2 = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    squared = (axis_1 / sigma_1) ** 2 + (axis_2 / sigma_2) ** 2
    if shape == "plateau":
        kernel = 1.0 / (1.0 + squared ** rng.uniform(1.0, 2.0))
    else:
        exponent = rng.uniform(0.5, 4.0) if shape == "generalised" else 1.0
        kernel = np.exp(-0.5 * squared**exponent)
    return np.asarray(kernel / kernel.sum(), np.float32)


def sinc_kernel(cutoff: float, side_px: int) -> np.ndarray:
    """Return a circular low-pass filter, truncated to a square; it causes ringing and overshoot.

    Args:
        cutoff: in radians per pixel.
        side_px: odd side of the kernel.

    Returns:
        float32 that sums to 1.
    """
    y, x = _grid(side_px)
    radius = np.hypot(x, y)
    is_centre = radius == 0
    divisor = np.where(is_centre, 1.0, radius)
    kernel = np.where(
        is_centre,
        cutoff**2 / (4 * np.pi),
        cutoff * j1(cutoff * divisor) / (2 * np.pi * divisor),
    )
    return np.asarray(kernel / kernel.sum(), np.float32)


def random_interpolation(rng: np.random.Generator) -> int:
    """Draw one of OpenCV's interpolation methods."""
    return int(INTERPOLATIONS[int(rng.integers(0, len(INTERPOLATIONS)))])


@functools.lru_cache(maxsize=16)
def _grid(side_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the y and x offsets from the middle of a square."""
    y, x = np.mgrid[:side_px, :side_px].astype(np.float64) - side_px // 2
    return y, x


def _apply_pass(
    image: np.ndarray, size: tuple[int, int], ranges: DegradationRanges, rng: np.random.Generator
) -> np.ndarray:
    blurred = _blur(image, ranges, rng)
    return _add_noise(_resize_randomly(blurred, size, ranges, rng), ranges, rng)


def _blur(image: np.ndarray, ranges: DegradationRanges, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < ranges.blur_probability:
        return _filter(image, random_blur_kernel(ranges.blur_sigma_px, rng))
    return image


def _filter(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.asarray(
        cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32
    )


def _resize_randomly(
    image: np.ndarray, size: tuple[int, int], ranges: DegradationRanges, rng: np.random.Generator
) -> np.ndarray:
    """Resize to (width, height) = `size` times a random factor."""
    choice, (smallest, largest) = (
        rng.choice(3, p=ranges.resize_probabilities),
        ranges.resize_factors,
    )
    factor = (rng.uniform(1.0, largest), rng.uniform(smallest, 1.0), 1.0)[choice]
    resized = (max(round(size[0] * factor), 4), max(round(size[1] * factor), 4))
    return np.asarray(
        cv2.resize(image, resized, interpolation=random_interpolation(rng)), np.float32
    )


def _add_noise(
    image: np.ndarray, ranges: DegradationRanges, rng: np.random.Generator
) -> np.ndarray:
    is_grey = rng.random() < GREY_NOISE_PROBABILITY
    shape = (*image.shape[:2], 1 if is_grey else 3)
    if rng.random() < GAUSSIAN_NOISE_PROBABILITY:
        noise = rng.uniform(*ranges.gaussian_sigma) * rng.standard_normal(shape, np.float32)
    else:
        clean = np.clip(image.mean(axis=2, keepdims=True) if is_grey else image, 0, 255)
        scale = rng.uniform(*ranges.poisson_scale)
        noise = scale * (rng.poisson(clean) - clean).astype(np.float32)
    return np.asarray(np.clip(image + noise, 0, 255), np.float32)


def _resize_and_ring(
    image: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Resize to the final size and, mostly, apply a sinc filter."""
    resized = np.asarray(
        cv2.resize(image, size, interpolation=random_interpolation(rng)), np.float32
    )
    if rng.random() >= FINAL_SINC_PROBABILITY:
        return resized
    cutoff = rng.uniform(np.pi / 3, np.pi)
    return _filter(resized, sinc_kernel(cutoff, int(rng.choice(KERNEL_SIDES_PX))))
