"""A model of faded prints and slides, and of wrong white balance.

A colour photo holds three dyes. Each loses a part of its density over the years, at its own speed;
the base turns yellow, and scans add a haze that lifts black. A dye also absorbs a little of the
other two thirds of the spectrum, so that fading mixes the channels. Densities are the negative
decimal logarithms of linear light.
"""

from __future__ import annotations

import numpy as np

from restore.imaging.icc import srgb_light
from training.degradations import compress_randomly, quantise
from training.recipe import Photo

MAX_DENSITY = 3.0
MAX_SIDE_ABSORPTION = 0.25
"""Density of a dye in another third of the spectrum, as a fraction of its main density."""

MAX_FADING = 0.6
"""Largest mean share of the density that is lost."""

UNSTABLE_DYES = ((1.4, 0.8, 1.0), (0.9, 1.3, 0.8), (1.0, 0.8, 1.4), (1.0, 1.0, 1.0))
UNSTABLE_DYE_PROBABILITIES = (0.35, 0.15, 0.25, 0.25)
"""Which dye fades fastest: cyan (the photo turns red), magenta (green), yellow (blue), or none."""

DYE_SPREAD = 0.4
"""How much the three dyes differ further in the share that they lose, relative to its mean."""

MIN_REMAINING = 0.25
STAIN_DENSITIES = (0.06, 0.12, 0.30)
"""Largest stain of the base in red, green and blue: yellow to brown."""

MAX_HAZE = 0.08
BLACK_PROBABILITY = 0.5
MIN_BLACK = 0.6
"""Half of the scans subtract at least this share of the darkest channel's black point: slides and
scans with an automatic black level have faded middle tones, but a black."""

MAX_EXPOSURE, EXPOSURE_RANGE = 1.1, 0.55
GAMMA_SIGMA = 0.12
"""Light of white, how much darker a scan may be, and the spread of its contrast."""

VIGNETTE_PROBABILITY = 0.3
MAX_VIGNETTE = 0.25
CAST_SIGMA = (0.3, 0.13)
"""Standard deviations of the natural logarithms of the gains: warm to cold, green to magenta."""

MAX_NOISE_LEVELS = 4.0
JPEG_QUALITIES = (60, 96)
_LIGHT_OF_LEVEL = srgb_light(np.arange(256) / 255).astype(np.float32)


def fade(photo: Photo, rng: np.random.Generator) -> Photo:
    """Fade the dyes of a photo, stain its base and scan it.

    Args:
        photo: HxWx3 uint8.
        rng: random generator.
    """
    mixing = random_mixing(rng)
    speeds = rng.choice(UNSTABLE_DYES, p=UNSTABLE_DYE_PROBABILITIES)
    speeds = speeds * np.exp(rng.normal(0.0, DYE_SPREAD, 3))
    lost = rng.uniform(0.2, 1.0) * MAX_FADING * speeds
    remaining = np.clip(1.0 - lost, MIN_REMAINING, 1.0)
    stain = rng.random() ** 1.5 * np.array(STAIN_DENSITIES) * rng.uniform(0.5, 1.0, 3)
    fading = np.linalg.inv(mixing) @ np.diag(remaining) @ mixing
    densities = density_of(photo).reshape(-1, 3) @ fading + stain
    light = np.power(10.0, -densities).reshape(photo.shape)
    if rng.random() < VIGNETTE_PROBABILITY:
        light = light * vignette(photo.shape[:2], rng)[..., None]
    return scan(light, rng)


def random_mixing(rng: np.random.Generator) -> np.ndarray:
    """Return the 3x3 densities in red, green and blue (columns) of the three dyes (rows)."""
    mixing = rng.uniform(0.0, MAX_SIDE_ABSORPTION, (3, 3))
    np.fill_diagonal(mixing, 1.0)
    return mixing


def light_of(photo: Photo) -> np.ndarray:
    """Return the linear light of HxWx3 uint8, float32 from 0 to 1."""
    return np.asarray(_LIGHT_OF_LEVEL[photo])


def density_of(photo: Photo) -> np.ndarray:
    """Return the densities of HxWx3 uint8 in linear light, 0 to MAX_DENSITY."""
    return np.asarray(-np.log10(np.maximum(light_of(photo), 10.0**-MAX_DENSITY)))


def vignette(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return HxW factors that fall or rise a little from the centre to the corners."""
    rows, columns = (np.linspace(-1.0, 1.0, side, dtype=np.float32) for side in size)
    squared_radius = 0.5 * (rows[:, None] ** 2 + columns[None, :] ** 2)
    return np.asarray(1.0 - rng.uniform(-0.5, 1.0) * MAX_VIGNETTE * squared_radius, np.float32)


def scan(light: np.ndarray, rng: np.random.Generator) -> Photo:
    """Scan a print or slide: haze, black level, exposure, contrast, noise and JPEG.

    Args:
        light: HxWx3 linear light.
        rng: random generator.

    Returns:
        HxWx3 uint8.
    """
    haze = MAX_HAZE * rng.random() ** 2
    light = (1.0 - haze) * light + haze * rng.uniform(0.8, 1.0, 3)
    if rng.random() < BLACK_PROBABILITY:
        darkest = np.quantile(light, 0.01, axis=(0, 1)).min()
        light = np.maximum(light - rng.uniform(MIN_BLACK, 1.0) * darkest, 0.0)
    brightest = max(float(np.quantile(light, 0.99)), 10.0**-MAX_DENSITY)
    exposure = MAX_EXPOSURE * EXPOSURE_RANGE ** (rng.random() ** 2)
    scanned = np.clip(light * exposure / brightest, 0.0, 1.0)
    return add_scan_noise(scanned ** np.exp(rng.normal(0.0, GAMMA_SIGMA)), rng)


def cast(photo: Photo, rng: np.random.Generator) -> Photo:
    """Give a photo a wrong white balance: gains in linear light, at equal luminance.

    Args:
        photo: HxWx3 uint8.
        rng: random generator.
    """
    warm, magenta = rng.normal(0.0, CAST_SIGMA)
    gains = np.exp(np.array([warm + magenta / 2, -magenta / 2, -warm + magenta / 2]))
    gains = gains / (gains @ np.array([0.2126, 0.7152, 0.0722])) * rng.uniform(0.9, 1.05)
    return add_scan_noise(np.clip(light_of(photo) * gains, 0.0, 1.0), rng)


def add_scan_noise(light: np.ndarray, rng: np.random.Generator) -> Photo:
    """Code HxWx3 linear light as uint8 sRGB; half of the results have noise, a third JPEG."""
    levels = 255.0 * srgb_value(light)
    if rng.random() < 0.5:
        sigma = rng.uniform(0.0, MAX_NOISE_LEVELS)
        levels = levels + sigma * rng.standard_normal(levels.shape, np.float32)
    if rng.random() < 1 / 3:
        return compress_randomly(levels, rng, JPEG_QUALITIES)
    return quantise(levels)


def srgb_value(light: np.ndarray) -> np.ndarray:
    """Return the sRGB values of linear light, both from 0 to 1 (IEC 61966-2-1)."""
    curve = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, curve)
