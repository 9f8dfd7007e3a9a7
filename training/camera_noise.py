"""Noise of digital cameras and of scanned film, which is not independent Gaussian noise.

A camera counts photons: the noise grows with the brightness. Demosaicing spreads it over neighbours
and between channels, white balance and the colour matrix amplify its colour, and the camera smooths
it before JPEG (Brooks et al., CVPR 2019; Foi et al., TIP 2008). Film grain is coarser than a pixel,
equal in all channels, and weakest in black and white.

Only the noise goes through these steps. The photo underneath stays the target.
"""

from __future__ import annotations

import cv2
import numpy as np

from training.degradations import compress_randomly, quantise
from training.recipe import Photo

GAMMA = 2.2
WHITE_BALANCE = (1.2, 2.4)  # gains of red and blue
SHOT_NOISE = (1e-4, 2e-2)  # variance over signal, of a linear signal in [0, 1]
READ_NOISE = (0.2, 3.0)  # standard deviation, relative to the shot noise of SHOT_NOISE at 0.01
COLOUR_MATRIX = (0.0, 0.5)  # how much the colour matrix increases the saturation
BAYER_ALGORITHMS = (cv2.COLOR_BayerBG2RGB, cv2.COLOR_BayerBG2RGB_EA)
LEVELS_16_BIT = 65535.0
OFFSET = 0.25  # keeps negative noise within 16 bits
LUMA_BLUR_PX, CHROMA_BLUR_PX = (0.0, 0.9), (0.5, 4.0)
SMOOTHED_SHARE = 0.6  # of the photos: the camera smooths the noise
GRAIN_SIZE_PX, GRAIN_LEVELS = (0.5, 1.6), (4.0, 30.0)
JPEG_SHARE = 0.7
JPEG_QUALITIES = (50, 98)


def add_camera_noise(clean: Photo, rng: np.random.Generator) -> Photo:
    """Add the noise of a camera to HxWx3 uint8; H and W are even."""
    linear = (clean.astype(np.float32) / 255.0) ** GAMMA
    noisy_linear = linear + _sensor_noise(linear, rng)
    noisy = 255.0 * np.clip(noisy_linear, 0.0, 1.0) ** (1.0 / GAMMA)
    noise = (noisy - clean).astype(np.float32)
    if rng.random() < SMOOTHED_SHARE:
        noise = _smooth(noise, rng)
    return _finish(clean + noise, rng)


def add_film_grain(clean: Photo, rng: np.random.Generator) -> Photo:
    """Add film grain to HxWx3 uint8."""
    grain = cv2.GaussianBlur(
        rng.standard_normal(clean.shape[:2]).astype(np.float32), (0, 0), rng.uniform(*GRAIN_SIZE_PX)
    )
    luma = cv2.cvtColor(clean, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255.0
    strength = 0.3 + 0.7 * 4.0 * luma * (1.0 - luma)
    grain = rng.uniform(*GRAIN_LEVELS) * strength * grain / max(float(grain.std()), 1e-6)
    return _finish(clean + grain[..., None], rng)


def _sensor_noise(linear: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the noise of a sensor with a Bayer pattern after demosaicing, of a linear photo."""
    gains = np.array([rng.uniform(*WHITE_BALANCE), 1.0, rng.uniform(*WHITE_BALANCE)], np.float32)
    raw = _mosaic(linear / gains)
    shot = float(np.exp(rng.uniform(*np.log(SHOT_NOISE))))
    read = shot * 0.01 * float(np.exp(rng.uniform(*np.log(READ_NOISE)))) ** 2
    noisy = raw + np.sqrt(shot * raw + read) * rng.standard_normal(raw.shape).astype(np.float32)
    algorithm = BAYER_ALGORITHMS[int(rng.integers(0, len(BAYER_ALGORITHMS)))]
    difference = (_demosaic(noisy, algorithm) - _demosaic(raw, algorithm)) * gains
    saturation = rng.uniform(*COLOUR_MATRIX)
    mean = difference.mean(axis=2, keepdims=True)
    return np.asarray(difference + saturation * (difference - mean), np.float32)


def _mosaic(photo: np.ndarray) -> np.ndarray:
    """Keep one channel per pixel: red and green in even rows, green and blue in odd ones."""
    raw = photo[..., 1].copy()
    raw[::2, ::2], raw[1::2, 1::2] = photo[::2, ::2, 0], photo[1::2, 1::2, 2]
    return np.asarray(raw, np.float32)


def _demosaic(raw: np.ndarray, algorithm: int) -> np.ndarray:
    levels = np.clip((raw + OFFSET) * (LEVELS_16_BIT / (1.0 + 2.0 * OFFSET)), 0.0, LEVELS_16_BIT)
    # OpenCV names a pattern by the second row and column: that of `_mosaic` is BG there.
    rgb = cv2.demosaicing(levels.astype(np.uint16), algorithm)
    return np.asarray(rgb.astype(np.float32) * ((1.0 + 2.0 * OFFSET) / LEVELS_16_BIT), np.float32)


def _smooth(noise: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur the brightness of the noise a little and its colour more, which leaves blotches."""
    luma = noise.mean(axis=2, keepdims=True)
    chroma = cv2.GaussianBlur(noise - luma, (0, 0), rng.uniform(*CHROMA_BLUR_PX))
    sigma_px = rng.uniform(*LUMA_BLUR_PX)
    blurred = luma if sigma_px < 0.2 else cv2.GaussianBlur(luma, (0, 0), sigma_px)[..., None]
    return np.asarray(blurred + chroma * rng.uniform(1.0, 2.5), np.float32)


def _finish(noisy: np.ndarray, rng: np.random.Generator) -> Photo:
    """Round to 8 bits and, mostly, apply JPEG."""
    if rng.random() < JPEG_SHARE:
        return compress_randomly(noisy, rng, JPEG_QUALITIES)
    return quantise(noisy)
