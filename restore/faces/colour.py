"""Colour of faces in grey and toned photos, whose restored faces must not become coloured.

Face networks were trained on colour photos, and colour what they restore. Levels are 0 to 255.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from restore.imaging.convert import to_8_bits

Tone = Literal["grey", "toned", "colour"]

MAX_TONED_RESIDUAL = 4.0
"""Largest chrominance, in levels, that luminance does not explain in a toned photo.

Measured at 128 px: real toned prints 1.1 to 3.4 (six photos, some stained and scratched);
synthetic sepia and cyanotype with noise up to sigma 20 and JPEG quality 20 to 75: 95 % below 3.3,
at most 3.8; Kodak's colour photos 7.8 and more; studio portraits on white 3.2 and more, 96 % above
4. The two errors differ: a toned photo classified as colour gets a pink face; a colour photo
classified as toned keeps the colours that the face had.
"""

MAX_GREY_VARIANCE = 10.0  # of CodeFormer's `is_gray`
MAX_GREY_CHROMA = 5.0
"""Mean chrominance, in levels, up to which a photo that is grey by CodeFormer's rule looks grey.

That rule ignores a constant tint, however strong. Scans of grey photos have up to 3.2 (five)."""

TONE_LONG_SIDE_PX = 128  # averages noise and JPEG chroma blocks, but not the colours of objects
VARIANCE_FLOOR = 1e-5  # of CodeFormer's `adain_npy`, against division by zero
_BAND_ROWS = 256  # rows that are converted at once, so that a large photo is not copied as a whole
OFFICIAL_LUMINANCE = np.array([0.2989, 0.5870, 0.1140])  # of CodeFormer's `bgr2gray`
RGB_TO_YCBCR = np.array(  # BT.601, full range
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]]
)
YCBCR_TO_RGB = np.linalg.inv(RGB_TO_YCBCR)


def is_grey(pixels: np.ndarray) -> bool:
    """Tell whether a photo is grey by CodeFormer's rule.

    The mean variance of the three differences between channels is at most 10, so a photo with one
    constant tint is grey too.

    Args:
        pixels: HxW, or HxWx3 RGB; uint8, uint16 or float levels.
    """
    if pixels.ndim == 2:
        return True
    sums, squares, count = np.zeros(3), np.zeros(3), pixels.shape[0] * pixels.shape[1]
    for top in range(0, pixels.shape[0], _BAND_ROWS):
        band = pixels[top : top + _BAND_ROWS]
        red, green, blue = cv2.split(to_8_bits(band) if band.dtype == np.uint16 else band)
        depth = cv2.CV_16S if red.dtype == np.uint8 else cv2.CV_64F
        for index, pair in enumerate(((red, blue), (green, red), (blue, green))):
            mean, deviation = cv2.meanStdDev(cv2.subtract(*pair, dtype=depth))
            sums[index] += red.size * float(mean[0, 0])
            squares[index] += red.size * float(mean[0, 0] ** 2 + deviation[0, 0] ** 2)
    return bool((squares / count - (sums / count) ** 2).mean() <= MAX_GREY_VARIANCE)


def classify_tone(pixels: np.ndarray) -> Tone:
    """Classify a photo as grey, toned (sepia, cyanotype, a yellowed print) or colour.

    In a toned photo, chrominance is nearly a function of luminance.

    Args:
        pixels: HxW, or HxWx3 RGB; uint8, uint16 or float levels.
    """
    if is_grey(pixels):
        return "grey"
    return "toned" if toning_residual(pixels) <= MAX_TONED_RESIDUAL else "colour"


def visible_tone(pixels: np.ndarray) -> Tone:
    """Classify a photo as `classify_tone`, but one with a strong constant tint as toned.

    Args:
        pixels: HxW, or HxWx3 RGB; uint8 or uint16.
    """
    tone = classify_tone(pixels)
    if tone != "grey" or pixels.ndim == 2:
        return tone
    levels = np.array(cv2.mean(pixels)[:3]) * (255 / np.iinfo(pixels.dtype).max)
    chroma = float(np.hypot(*(RGB_TO_YCBCR[1:] @ levels)))
    return "toned" if chroma > MAX_GREY_CHROMA else "grey"


def toning_residual(pixels: np.ndarray) -> float:
    """Return the RMS chrominance, in levels, that a cubic in luminance does not explain.

    Args:
        pixels: HxWx3 RGB, uint8 or uint16.
    """
    size = tone_size(pixels.shape[1], pixels.shape[0])
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    ycbcr = _to_float_levels(small).reshape(-1, 3) @ RGB_TO_YCBCR.T
    powers = np.vander(ycbcr[:, 0] / 255, 4)
    coefficients = np.linalg.lstsq(powers, ycbcr[:, 1:], rcond=None)[0]
    residual = ycbcr[:, 1:] - powers @ coefficients
    return float(np.sqrt((residual**2).sum(axis=1).mean()))


def tone_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) to which a photo is reduced for `toning_residual`."""
    factor = min(1.0, TONE_LONG_SIDE_PX / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def match_grey(restored: np.ndarray, crop: np.ndarray, *, clip: bool = True) -> np.ndarray:
    """Make a restored face grey, with the mean and standard deviation of its crop per channel.

    This is CodeFormer's `adain_npy`.

    Args:
        restored: 512x512x3 RGB, levels.
        crop: the face before restoration, likewise.
        clip: clip to 0 to 255. The official code does not, and wraps around in the cast to uint8.

    Returns:
        512x512x3 float64, not rounded, like in the official code.
    """
    grey = np.repeat((restored.astype(np.float64) @ OFFICIAL_LUMINANCE)[..., None], 3, axis=2)
    mean, deviation = _moments(grey)
    crop_mean, crop_deviation = _moments(crop)
    matched: np.ndarray = (grey - mean) / deviation * crop_deviation + crop_mean
    return matched.clip(0.0, 255.0) if clip else matched


def keep_colour(restored: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """Combine the luminance of a restored face with the chrominance of its crop (BT.601).

    Args:
        restored: 512x512x3 RGB, levels.
        crop: the face before restoration, likewise.

    Returns:
        512x512x3 float32, clipped to 0 to 255.
    """
    luminance = restored.astype(np.float64) @ RGB_TO_YCBCR[0]
    chrominance = crop.astype(np.float64) @ RGB_TO_YCBCR[1:].T
    mixed: np.ndarray = np.dstack([luminance, chrominance]) @ YCBCR_TO_RGB.T
    return mixed.clip(0.0, 255.0).astype(np.float32)


def _moments(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each channel."""
    values = image.reshape(-1, 3).astype(np.float64)
    return values.mean(axis=0), np.sqrt(values.var(axis=0) + VARIANCE_FLOOR)


def _to_float_levels(pixels: np.ndarray) -> np.ndarray:
    """Convert to float64 levels; 16 bits are rounded to whole levels."""
    return (to_8_bits(pixels) if pixels.dtype == np.uint16 else pixels).astype(np.float64)
