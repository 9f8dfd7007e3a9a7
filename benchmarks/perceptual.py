"""Perceptual figures of a photo against its original: SSIMULACRA2, FLIP and GMSD.

- **SSIMULACRA2**, higher is better: 100 for equal photos; 90 no visible difference, 70 high, 50
  medium and 30 low quality; below 0 for strong damage. Good for overall quality: lost detail and
  artefacts in luma and chroma, at six sizes. It was fitted to ratings of compressed photos.
- **FLIP**, lower is better: from 0 for equal photos to 1. Good for differences that are seen when
  both photos alternate in place: colour, edges and points.
- **GMSD**, lower is better: from 0 for equal photos to about 0.35. Good for blurred and displaced
  edges in luma. It ignores colour and even changes of brightness.

Sources: Sneyers, "SSIMULACRA 2" (Cloudinary, 2022, in libjxl); Andersson et al., "FLIP: A
Difference Evaluator for Alternating Images" (HPG 2020); Xue et al., "Gradient Magnitude Similarity
Deviation" (TIP 2014). The packages (requirements-metrics.txt) are imported only where they are
used.
"""

from __future__ import annotations

import importlib
import importlib.util
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]
"""HxWx3 uint8."""

PACKAGES = MappingProxyType({"SSIMULACRA2": "ssimulacra2", "FLIP": "flip_evaluator"})
"""The package that computes a figure."""
MIN_SSIMULACRA2_SIDE_PX = 225
"""Smaller photos have less than six sizes of at least 8 px; their values are not comparable."""
GMSD_CONSTANT = 170.0

_HALF_BLUR = (
    0.26462110548819850,
    0.21292859201042220,
    0.10933537277746030,
    0.03601111465836440,
    0.00941436780965374,
)
SSIMULACRA2_BLUR = np.array((*_HALF_BLUR[:0:-1], *_HALF_BLUR))
"""Impulse response of libjxl's recursive Gaussian of sigma 1.5 (Charalampidis, TSP 2016)."""


def missing_packages() -> dict[str, str]:
    """Return a sentence for each figure whose package is not installed, by figure."""
    return {
        figure: f"{figure} is not measured: the package {package} is not installed; "
        "run pip install --no-deps -r requirements-metrics.txt"
        for figure, package in PACKAGES.items()
        if importlib.util.find_spec(package) is None
    }


def ssimulacra2_of(original: Rgb, photo: Rgb) -> float | None:
    """Return SSIMULACRA2; None for photos with a side below MIN_SSIMULACRA2_SIDE_PX.

    Version 0.3.0 of the package ssimulacra2 blurs with a Gaussian that is cut off. libjxl uses the
    filter above and zeros outside of the photo. The values of the package alone therefore differ by
    1 to 4 points from libjxl's, in either direction.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    if min(original.shape[:2]) < MIN_SSIMULACRA2_SIDE_PX:
        return None
    parts = importlib.import_module("ssimulacra2.ssimulacra2")
    score = parts.Msssim()
    light = [parts.srgb_to_linear(pixels) for pixels in (original, photo)]
    for _ in range(parts.kNumScales):
        first, second = (parts.make_positive_xyb(parts.linear_rgb_to_xyb(each)) for each in light)
        means = _blur(first), _blur(second)
        products = _blur(first * first), _blur(second * second), _blur(first * second)
        scale = parts.MsssimScale()
        scale.avg_ssim = parts.ssim_map(*means, *products)
        scale.avg_edgediff = parts.edge_diff_map(first, means[0], second, means[1])
        score.scales.append(scale)
        light = [parts.downsample(each, 2, 2) for each in light]
    return float(score.score())


def _blur(planes: np.ndarray) -> np.ndarray:
    border = cv2.BORDER_CONSTANT
    return cv2.sepFilter2D(planes, -1, SSIMULACRA2_BLUR, SSIMULACRA2_BLUR, borderType=border)


def flip_of(original: Rgb, photo: Rgb) -> float:
    """Return the mean of FLIP for displays, at its default of 67 pixels per degree.

    Raises:
        ModuleNotFoundError: the package is not installed.
    """
    first, second = (pixels.astype(np.float32) / 255.0 for pixels in (original, photo))
    package = importlib.import_module("flip_evaluator")
    _, mean, _ = package.evaluate(first, second, "LDR", applyMagma=False, parameters={})
    return float(mean)


def gmsd_of(original: Rgb, photo: Rgb) -> float:
    """Return GMSD."""
    gradients = []
    for image in (original, photo):
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
        halved = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        prewitt = np.array([[1, 0, -1]] * 3, np.float64) / 3.0
        gradients.append(
            np.hypot(cv2.filter2D(halved, -1, prewitt), cv2.filter2D(halved, -1, prewitt.T))
        )
    numerator = 2 * gradients[0] * gradients[1] + GMSD_CONSTANT
    similarity = numerator / (gradients[0] ** 2 + gradients[1] ** 2 + GMSD_CONSTANT)
    return float(similarity.std())
