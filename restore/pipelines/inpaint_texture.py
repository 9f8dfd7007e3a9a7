"""Texture for wide holes that a network filled without: sharp detail of the photo around them.

A network that was trained by regression continues outlines and shading into a hole, but returns
the mean of all textures that are possible. The missing octaves come from known pixels nearby with
similar colours and similar neighbours (see `texture_search`), as in example-based enlargement
(Freedman & Fattal, ACM TOG 2011). Colours and shading stay those of the network.

No texture is safer than a wrong one. Its energy is limited to that of the quieter parts around the
hole, which is the texture itself in grass or cloth and only the grain where objects are. Narrow
holes stay as they are: there, the fill of the network is sharp.
"""

from __future__ import annotations

import itertools
import zlib

import cv2
import numpy as np
import torch

from restore.imaging.convert import to_grey, to_rgb
from restore.nets.lite.inpaint import fill_harmonically

BLURS_PX = (0.8, 1.6, 3.2)
"""Standard deviations of the Gaussians between which the octaves of the texture lie."""

GAINS = (0.9, 0.75, 0.55)
"""Share of each octave that is added, fine to coarse: texture that is not that of the original
costs PSNR, above all in the coarse octave."""

MIN_WIDTH_PX = 33
"""Width of a hole above which it gets texture."""

SOFT_PX = 8.0
"""How far the texture of a wide hole fades out into its narrow parts."""

FADE_PX = (1.0, 3.5)
"""Distance from the known pixels at which the texture begins, and is complete."""

SEARCH_PX = 64
"""Width of the surroundings from which the texture comes."""

SOURCE_MARGIN_PX = 5
"""Distance of a source from the hole and from the window's edges."""

MIN_SOURCES = 100
ENERGY_BLUR_PX = 3.0
NEIGHBOURHOOD_PX = 24.0
"""Standard deviation of the Gaussian over which the typical energy is computed."""

STATISTICS_SCALE = 4
"""By how much the maps of this large Gaussian are reduced."""

MAX_SOURCE_ENERGY = 2.5
"""Limit of the energy of a source, relative to the typical energy around the hole."""

MAX_ENERGY = 1.5
"""Limit of the energy of the texture, relative to the typical energy of a uniform texture."""

UNIFORM_SPREAD = 0.55
"""Standard deviation of the logarithm of the energy up to which a texture is uniform."""

SPREAD_PENALTY = 10.0
"""How fast the logarithm of the limit falls with a larger standard deviation."""

GRAIN_SPREADS = 2.5
"""Standard deviations below the mean at which the limit stays: the energy of the quietest parts,
which have only the grain of the photo."""

EDGE_COHERENCE, EDGE_STRENGTH = 0.7, 3.0
"""An edge, which is no source, has one direction and more than this times the median gradient."""

EDGE_BLUR_PX = 1.5
MIN_WEIGHT = 0.01
TINY = 1e-8


def add_texture(
    fill: np.ndarray, pixels: np.ndarray, mask: np.ndarray, hole: np.ndarray
) -> np.ndarray:
    """Add the texture of the surroundings to the wide parts of a fill.

    The result depends only on the arguments.

    Args:
        fill: HxW[x3] float32 of a network, nominally in [0, 1].
        pixels: HxW[x3] integers, the photo around the hole.
        mask: HxW bool, True where pixels are not known.
        hole: HxW bool, a part of `mask`: where texture is wanted.

    Returns:
        HxW[x3] float32; equal to the fill outside of the hole.
    """
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    if depth.max() <= MIN_WIDTH_PX / 2:
        return fill
    share = _share_of_texture(depth) * hole
    _, labels, stats, _ = cv2.connectedComponentsWithStats((share > 0).astype(np.uint8))
    result, full = fill.copy(), np.iinfo(pixels.dtype).max
    for label, (x, y, width, height, _) in enumerate(stats[1:], 1):  # the first is the background
        around = np.s_[
            max(0, y - SEARCH_PX) : y + height + SEARCH_PX,
            max(0, x - SEARCH_PX) : x + width + SEARCH_PX,
        ]
        known, filled = to_rgb(pixels[around]).astype(np.float32) / full, to_rgb(fill[around])
        filled = np.where(mask[around][..., None], np.clip(filled, 0.0, 1.0), known)
        texture = _synthesise(filled, mask[around], depth[around], labels[around] == label)
        texture *= share[around][..., None]
        result[around] += texture if fill.ndim == 3 else to_grey(texture)
    return result


def _share_of_texture(depth: np.ndarray) -> np.ndarray:
    """Return the share of the texture, 0 to 1, at each pixel.

    Args:
        depth: HxW float32, distance from the known pixels.
    """
    start_px, end_px = FADE_PX
    narrow = (depth <= MIN_WIDTH_PX / 2).astype(np.uint8)
    distance_px = cv2.distanceTransform(narrow, cv2.DIST_L2, 5)
    wide = np.clip(1.0 - (distance_px - MIN_WIDTH_PX / 2) / SOFT_PX, 0.0, 1.0)
    share: np.ndarray = np.clip((depth - start_px) / (end_px - start_px), 0.0, 1.0) * wide
    return share


def _synthesise(
    filled: np.ndarray, mask: np.ndarray, depth: np.ndarray, is_target: np.ndarray
) -> np.ndarray:
    """Return the texture of a part of the hole: HxWx3 float32, 0 outside of it.

    Args:
        filled: HxWx3 float32, a window around the part.
        mask: HxW bool, True where pixels are not known.
        depth: HxW float32, distance from the known pixels.
        is_target: HxW bool.
    """
    texture, is_remote = np.zeros_like(filled), _is_remote(mask)
    if is_remote.sum() < MIN_SOURCES:
        return texture
    blurred = [filled, *(_blur(filled, sigma_px) for sigma_px in BLURS_PX)]
    octaves = [fine - coarse for fine, coarse in itertools.pairwise(blurred)]
    detail = to_grey(filled - blurred[-1])
    known = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0
    typical, limit = _typical_energy(detail, known)
    is_source = is_remote & (_local_energy(detail, known) < MAX_SOURCE_ENERGY * typical)
    is_source &= ~_is_edge(filled, known)
    sources = np.argwhere(is_source)
    if len(sources) < MIN_SOURCES:
        return texture
    # Compiling is slow, and most requests have no wide hole.
    from restore.pipelines.texture_search import find_matches  # noqa: PLC0415

    targets = np.argwhere(is_target)
    targets = targets[np.argsort(depth[is_target], kind="stable")]
    seed = zlib.crc32(np.rint(255.0 * filled[~mask]).astype(np.uint8).tobytes())
    matches = find_matches(targets, sources, (blurred[-1], detail, ~mask, is_source), seed)
    for octave, gain in zip(octaves, GAINS, strict=True):
        copied = np.zeros_like(filled)
        copied[is_target] = octave[tuple(matches[is_target].T)]
        missing = _missing_share(to_grey(octave), to_grey(copied), mask, is_target)
        texture += gain * copied * missing[..., None]
    energy = _local_energy(to_grey(texture), is_target)
    texture *= np.sqrt(np.minimum(1.0, limit / (energy + TINY)))[..., None]
    return texture


def _missing_share(
    octave: np.ndarray, copied: np.ndarray, mask: np.ndarray, is_target: np.ndarray
) -> np.ndarray:
    """Return by what to multiply the copied octave, so that the fill gets its energy with it."""
    present = _local_energy(octave, mask) / (_local_energy(copied, is_target) + TINY)
    return np.sqrt(np.clip(1.0 - present, 0.0, 1.0))


def _typical_energy(detail: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the typical energy of the detail around each pixel, and the limit of the texture's.

    Args:
        detail: HxW float32.
        known: HxW bool.
    """
    logs = np.log(_local_energy(detail, known) + TINY) * known
    size = tuple(-(-side // STATISTICS_SCALE) for side in reversed(detail.shape))
    weight, total, squares = (
        _blur(
            cv2.resize(values, size, interpolation=cv2.INTER_AREA),
            NEIGHBOURHOOD_PX / STATISTICS_SCALE,
        )
        for values in (known.astype(np.float32), logs, logs * logs)
    )
    near = weight > MIN_WEIGHT
    mean = total / np.maximum(weight, MIN_WEIGHT)
    variance = squares / np.maximum(weight, MIN_WEIGHT) - mean * mean
    maps = torch.from_numpy(np.stack([mean, variance, np.zeros_like(mean)])[None])
    maps = fill_harmonically(maps, torch.from_numpy(1.0 - near.astype(np.float32))[None, None])
    mean, variance = (
        cv2.resize(values, detail.shape[::-1], interpolation=cv2.INTER_LINEAR)
        for values in maps[0, :2].numpy()
    )
    spread = np.sqrt(np.maximum(variance, 0.0))
    excess = np.maximum(spread - UNIFORM_SPREAD, 0.0)
    limit = np.maximum(mean - SPREAD_PENALTY * excess, mean - GRAIN_SPREADS * spread)
    return np.exp(mean), MAX_ENERGY * np.exp(limit)


def _is_remote(mask: np.ndarray) -> np.ndarray:
    """Return which pixels are far enough from the hole and from the edges of the window."""
    known = np.pad((~mask).astype(np.uint8), 1)
    distance_px: np.ndarray = cv2.distanceTransform(known, cv2.DIST_C, 3)[1:-1, 1:-1]
    return distance_px > SOURCE_MARGIN_PX


def _is_edge(filled: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return where the photo has an outline rather than texture: HxW bool."""
    smooth = _blur(to_grey(filled), EDGE_BLUR_PX)
    horizontal, vertical = (cv2.Sobel(smooth, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    xx, yy, xy = (
        _blur(product, ENERGY_BLUR_PX)
        for product in (horizontal * horizontal, vertical * vertical, horizontal * vertical)
    )
    coherence = np.sqrt((xx - yy) ** 2 + 4.0 * xy * xy) / (xx + yy + TINY)
    is_strong = xx + yy > EDGE_STRENGTH * np.median((xx + yy)[known])
    return np.asarray((coherence > EDGE_COHERENCE) & is_strong)


def _local_energy(detail: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Return the mean square of the detail near each pixel, over a part of the window."""
    weights = part.astype(np.float32)
    sums = _blur(detail * detail * weights, ENERGY_BLUR_PX)
    return np.asarray(sums / np.maximum(_blur(weights, ENERGY_BLUR_PX), MIN_WEIGHT))


def _blur(values: np.ndarray, sigma_px: float) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), sigma_px)
