"""The colour of a face against the colour of its photo: grey and toned photos stay what they are.

Networks for faces were trained on colour, and colour what they restore. Levels are 0 to 255 throughout.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from restore.faces.face import Array

Tone = Literal["grey", "toned", "colour"]

TONED_MAX_RESIDUAL = 4.0
"""Levels of chrominance that luminance may leave unexplained in a toned photo.

Measured at 128 px: real toned prints 1.1 to 3.4 (six, some stained and scratched); synthetic sepia and cyanotype with noise to
sigma 20 and JPEG 20 to 75: 95 % below 3.3, at most 3.8; Kodak's colour photos 7.8 and more; studio portraits before white 3.2 and
more, 96 % above 4. The errors are not alike: a toned photo taken for colour gets a pink face, a colour photo taken for toned keeps
the face's own colours.
"""

_GREY_MAX_VARIANCE = 10.0  # CodeFormer's `is_gray`
_SEEN_PX = 128  # of the longer side: noise and JPEG's chroma blocks average out, the colours of things do not
_VARIANCE_FLOOR = 1e-5  # CodeFormer's, so that a flat face divides by no zero
_BAND_ROWS = 256  # so that a large photo is never copied as a whole
_OFFICIAL_LUMINANCE = np.array([0.2989, 0.5870, 0.1140])  # CodeFormer's `bgr2gray`
_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)  # BT.601, full range
_RGB = np.linalg.inv(_YCBCR)


def is_grey(pixels: Array) -> bool:
    """Tell whether a photo is grey by CodeFormer's rule: the variances of the three channel differences are 10 at most on average.

    HxW or HxWx3 RGB, uint8, uint16 or float levels; a photo of one constant tint is grey by it too.
    """
    if pixels.ndim == 2:
        return True
    sums, squares, count = np.zeros(3), np.zeros(3), pixels.shape[0] * pixels.shape[1]
    for top in range(0, pixels.shape[0], _BAND_ROWS):
        band = _levels(pixels[top : top + _BAND_ROWS])
        differences = (band - np.roll(band, 1, axis=2)).reshape(-1, 3)
        sums += differences.sum(axis=0)
        squares += np.einsum("ij,ij->j", differences, differences)
    return bool((squares / count - (sums / count) ** 2).mean() <= _GREY_MAX_VARIANCE)


def tone(pixels: Array) -> Tone:
    """Tell a grey photo and a toned one (sepia, cyanotype, a yellowed print) from one in colour.

    Toned is where chrominance is nearly a function of luminance: what a cubic in luminance leaves unexplained is small.
    HxW or HxWx3 RGB, uint8, uint16 or float levels.
    """
    if is_grey(pixels):
        return "grey"
    return "toned" if toning_residual(pixels) <= TONED_MAX_RESIDUAL else "colour"


def toning_residual(pixels: Array) -> float:
    """Return what a cubic in luminance leaves of the chrominance: the root of its mean square, in levels, of HxWx3 RGB integers."""
    height, width = pixels.shape[:2]
    factor = min(1.0, _SEEN_PX / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    ycbcr = _levels(small).reshape(-1, 3) @ _YCBCR.T
    powers = np.vander(ycbcr[:, 0] / 255, 4)
    fit = np.linalg.lstsq(powers, ycbcr[:, 1:], rcond=None)[0]
    left = ycbcr[:, 1:] - powers @ fit
    return float(np.sqrt((left**2).sum(axis=1).mean()))


def match_grey(restored: Array, crop: Array, *, clip: bool = True) -> Array:
    """Make a restored face grey and give it mean and spread of what it replaces, channel by channel (CodeFormer's `adain_npy`).

    Args:
        restored: 512x512x3 RGB, levels.
        crop: the face before, likewise.
        clip: keep within 0 to 255; the official code does not, and wraps around where the result is cast.

    Returns:
        float64, as in the official code not rounded.
    """
    grey = np.repeat((restored.astype(np.float64) @ _OFFICIAL_LUMINANCE)[..., None], 3, axis=2)
    (mean, spread), (wanted_mean, wanted_spread) = (_moments(image) for image in (grey, crop))
    matched: Array = (grey - mean) / spread * wanted_spread + wanted_mean
    return matched.clip(0.0, 255.0) if clip else matched


def keep_colour(restored: Array, crop: Array) -> Array:
    """Take the luminance from the restored face and the chrominance from the face before (BT.601, full range).

    Both 512x512x3 RGB, levels; float32, clipped to 0 to 255.
    """
    luminance = restored.astype(np.float64) @ _YCBCR[0]
    chrominance = crop.astype(np.float64) @ _YCBCR[1:].T
    mixed: Array = np.dstack([luminance, chrominance]) @ _RGB.T
    return mixed.clip(0.0, 255.0).astype(np.float32)


def _moments(image: Array) -> tuple[Array, Array]:
    values = image.reshape(-1, 3).astype(np.float64)
    return values.mean(axis=0), np.sqrt(values.var(axis=0) + _VARIANCE_FLOOR)


def _levels(pixels: Array) -> Array:
    """Return float64 levels 0 to 255, those of 16 bits rounded to whole ones."""
    levels: Array = (
        np.rint(pixels / 257.0) if pixels.dtype == np.uint16 else pixels.astype(np.float64)
    )
    return levels
