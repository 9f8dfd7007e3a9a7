"""Colours under transparent pixels, and resampling weighted by alpha.

A transparent pixel has a colour that nobody sees: black, white, or whatever an editor left there.
Networks and filters mix it into the visible pixels beside it, which gives cut-outs a fringe. So
visible colours are extended under transparent pixels first, by a pyramid of alpha-weighted means
(the pull-push method, Gortler et al., SIGGRAPH 1996).
"""

from __future__ import annotations

import cv2
import numpy as np

RELIABLE_OPACITY = 1 / 8
"""Opacity from which the colour of a pixel is its own; below, it is mixed with its surroundings."""

MIN_OPACITY = 1 / 64
"""Smaller ones, and the negative ones of a Lanczos filter, are not divided by."""

BAND_ROWS = 512
"""Rows that are converted to float at once, which bounds the memory; an even number."""


def is_unreliable(alpha: np.ndarray) -> np.ndarray:
    """Return where the colour of a pixel is hidden or hardly visible: HxW alpha -> HxW bool."""
    return alpha < int(RELIABLE_OPACITY * np.iinfo(alpha.dtype).max)


def extend_colours(
    pixels: np.ndarray, alpha: np.ndarray, excluded: np.ndarray | None = None
) -> np.ndarray:
    """Extend the visible colours of a photo under its transparent pixels.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16, not premultiplied.
        alpha: HxW of the same dtype.
        excluded: HxW bool, True where colours must not be extended from, such as holes.

    Returns:
        The pixels, changed only where `is_unreliable`; the input itself if that is nowhere, or if
        nothing is visible. Fully transparent pixels do not depend on their former colours.
    """
    unreliable = is_unreliable(alpha)
    if not unreliable.any() or not alpha.any():
        return pixels
    if excluded is not None and not (alpha > 0)[~excluded].any():
        excluded = None
    half = _colours_of_half_size(pixels, alpha, excluded)
    result, full = pixels.copy(), np.iinfo(alpha.dtype).max
    for top in range(0, len(pixels), BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        band, mask = result[rows], unreliable[rows]
        if not mask.any():
            continue
        own = alpha[rows] * np.float32(1 / (RELIABLE_OPACITY * full))
        around = half[top // 2 : (top + BAND_ROWS) // 2 + 1]
        size = (2 * around.shape[1], 2 * len(around))
        around = cv2.resize(around, size, interpolation=cv2.INTER_NEAREST_EXACT)
        around = around.reshape(*size[::-1], -1)[: len(band), : band.shape[1]]
        mixed = around + own[..., None] * (band.reshape(around.shape) - around)
        np.copyto(
            band, np.rint(mixed).reshape(band.shape), where=_like(mask, band), casting="unsafe"
        )
    return result


def resize_weighted(
    pixels: np.ndarray, alpha: np.ndarray, size: tuple[int, int], interpolation: int
) -> tuple[np.ndarray, np.ndarray]:
    """Resize a photo so that each colour counts as much as it is visible.

    Over any background, the result looks like the resized picture of the photo over it.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16, not premultiplied.
        alpha: HxW of the same dtype.
        size: (width, height) of the result.
        interpolation: OpenCV's constant.

    Returns:
        The resized pixels and alpha.
    """
    resized = cv2.resize(pixels, size, interpolation=interpolation)
    resized_alpha = cv2.resize(alpha, size, interpolation=interpolation)
    full = np.iinfo(alpha.dtype).max
    if int(alpha.min()) == int(alpha.max()):
        return resized, resized_alpha
    opacities = alpha * np.float32(1 / full)
    opacity = cv2.resize(opacities, size, interpolation=interpolation)
    for channel in range(1 if pixels.ndim == 2 else 3):
        source, target = (
            array if array.ndim == 2 else array[..., channel] for array in (pixels, resized)
        )
        # Float copies of one channel at a time, and of bands, bound the memory.
        weighted = cv2.resize(source * opacities, size, interpolation=interpolation)
        for top in range(0, size[1], BAND_ROWS):
            rows = slice(top, top + BAND_ROWS)
            trust = np.clip(opacity[rows] * np.float32(1 / RELIABLE_OPACITY), 0, 1)
            colour = weighted[rows] / np.maximum(opacity[rows], np.float32(MIN_OPACITY))
            colour = np.clip(colour, 0, full) - target[rows]
            target[rows] = np.rint(target[rows] + trust * colour)
    return resized, resized_alpha


def _like(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Return an HxW mask that broadcasts with pixels."""
    return mask if pixels.ndim == 2 else mask[..., None]


def _colours_of_half_size(
    pixels: np.ndarray, alpha: np.ndarray, excluded: np.ndarray | None
) -> np.ndarray:
    """Return means of 2x2 pixels weighted by alpha, all of them filled: (H/2)x(W/2)xC float32."""
    full, parts = np.iinfo(alpha.dtype).max, []
    for top in range(0, len(pixels), BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        weights = alpha[rows] * np.float32(1 / full)
        if excluded is not None:
            weights[excluded[rows]] = 0
        colours = pixels[rows].reshape(*weights.shape, -1)
        parts.append(_halve(colours * weights[..., None], weights))
    sums, weights = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return _fill(sums, weights)


def _halve(sums: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of 2x2 pixels of HxWxC weighted colours and of their HxW weights."""
    bottom, right = (side % 2 for side in weights.shape)
    size = ((weights.shape[1] + right) // 2, (weights.shape[0] + bottom) // 2)
    halves = []
    for array in (sums, weights):
        even = cv2.copyMakeBorder(array, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        halves.append(cv2.resize(even, size, interpolation=cv2.INTER_AREA))
    return halves[0].reshape(size[1], size[0], -1), halves[1]


def _fill(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Divide weighted colours by their weights, and fill from coarser means where those are small.

    Args:
        sums: HxWxC float32, colours times weights.
        weights: HxW float32 in [0, 1], not 0 everywhere.

    Returns:
        HxWxC float32 colours.
    """
    colours: np.ndarray = sums / np.maximum(weights, 1e-6)[..., None]
    if float(weights.min()) >= RELIABLE_OPACITY or weights.size == 1:
        return colours
    coarse = _fill(*_halve(sums, weights))
    size = (weights.shape[1], weights.shape[0])
    coarse = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR).reshape(colours.shape)
    trust = np.minimum(weights / RELIABLE_OPACITY, 1)[..., None]
    return np.asarray(trust * colours + (1 - trust) * coarse, np.float32)
