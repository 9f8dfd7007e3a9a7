"""Judges a result file against its input file, independently of the product's own harm check.

Both files are decoded by Pillow and LittleCMS. The measures are plain means of cells, so that a
fault of the product's measures cannot hide here.
"""

import io
from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from colour_oracle import find_colour_harm
from PIL import Image, ImageCms, ImageOps

CELLS_PX = (8, 32)
MAX_CELL_SHIFT = {8: 40.0, 32: 14.0}
"""Levels by which a cell of that size may change without a warning in the report."""

MAX_LIGHTNESS_SHIFT = 20.0
"""Levels by which new colours may change the lightness of a cell: CIE L*, scaled to 255. The luma
of the stored values is no measure: that of pure red is 76, that of a grey as light as it 127."""

MAX_SHIFTED_SHARE = 0.25
"""Fraction of cells that old_photo_restore may change: scratches and their surroundings. A cell
that is as in the undamaged photo was repaired, and does not count."""

MAX_CAST = 3.0
"""Levels between the channels of a result whose input is neutral."""

MIN_WHITE = 254.5


@dataclass(frozen=True)
class Pixels:
    """A decoded file: HxWx3 float sRGB levels from 0 to 255, and HxW opacity from 0 to 1."""

    levels: np.ndarray
    opacity: np.ndarray


def read(source: Path | bytes) -> Pixels:
    """Decode a file upright and in sRGB."""
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        image.load()
        icc = image.info.get("icc_profile")
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        grey = np.asarray(upright, np.float64) / 257
        return Pixels(np.repeat(grey[..., None], 3, 2), np.ones(grey.shape))
    rgba = np.asarray(upright.convert("RGBA"), np.float64)
    rgb = upright.convert("RGB")
    if icc and upright.mode in {"RGB", "RGBA"}:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        converted = ImageCms.profileToProfile(rgb, profile, ImageCms.createProfile("sRGB"))
        assert converted is not None
        rgb = converted
    return Pixels(np.asarray(rgb, np.float64), rgba[..., 3] / 255)


def find_harm(
    before: Pixels, after: Pixels, tasks: Set[str], undamaged: Pixels | None = None
) -> Iterator[str]:
    """Describe everything by which a result looks damaged.

    Args:
        before: the input.
        after: the result, of any size.
        tasks: the tasks that ran; `deblur` is a variant of restore.
        undamaged: the photo that the input was made from by adding damage, if there is one.
    """
    result = _reduce(after, (before.levels.shape[1], before.levels.shape[0]))
    visible = before.opacity > 0.5
    if "colors" in tasks:
        yield from find_colour_harm(
            before.levels, result.levels, visible, keeps_detail=tasks == {"colors"}
        )
    elif "old_photo_restore" in tasks:
        shifts = _cell_shifts(before.levels, result.levels, visible, 32)
        if undamaged is not None:
            errors = _cell_shifts(undamaged.levels, result.levels, visible, 32)
            shifts = np.minimum(shifts, errors)
        share = float((shifts > MAX_CELL_SHIFT[32]).mean()) if shifts.size else 0.0
        if share > MAX_SHIFTED_SHARE and "colorize" not in tasks:
            yield f"{100 * share:.0f} % of the cells changed"
    elif "colorize" in tasks:
        lightness = _lightness(before.levels), _lightness(result.levels)
        shift = _max(_cell_shifts(*lightness, visible, 32))
        if shift > MAX_LIGHTNESS_SHIFT:
            yield f"the lightness of a cell changed by {shift:.0f} levels"
    else:
        for cell_px in CELLS_PX:
            shift = _max(_cell_shifts(before.levels, result.levels, visible, cell_px))
            if shift > MAX_CELL_SHIFT[cell_px]:
                yield f"a cell of {cell_px} px changed by {shift:.0f} levels"
    if "colorize" not in tasks:
        yield from _find_cast(before.levels[visible], result.levels[visible])


def _find_cast(before: np.ndarray, after: np.ndarray) -> Iterator[str]:
    """Describe a cast of a neutral photo, and a white photo that is no longer white."""
    if _cast(before) == 0.0 and _cast(after) > MAX_CAST:
        yield f"a neutral photo got a cast of {_cast(after):.0f} levels"
    if before.size and before.min() == 255.0 and after.mean() < MIN_WHITE:
        yield f"white became {after.mean():.1f}"


def find_inpaint_harm(before: Pixels, after: Pixels, hole: np.ndarray) -> Iterator[str]:
    """Describe changes outside a hole, and a hole that was not filled.

    Args:
        before: the input.
        after: the result of the same size.
        hole: HxW bool, the hole that the masks mean.
    """
    difference = np.abs(after.levels - before.levels).max(axis=-1)
    outside = difference[~hole & (before.opacity > 0)]
    if outside.size and outside.max() > 0:
        share = 100 * float((outside > 0).mean())
        yield f"{share:.0f} % of the pixels outside changed, by up to {outside.max():.0f} levels"
    if not (difference[hole] > 0).any():
        yield "the hole was not filled"


def _reduce(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if pixels.levels.shape[1::-1] == size:
        return pixels
    channels = [pixels.levels[..., channel] for channel in range(3)]
    reduced = [
        np.asarray(Image.fromarray(array.astype(np.float32)).resize(size, Image.Resampling.BOX))
        for array in (*channels, pixels.opacity)
    ]
    return Pixels(np.stack(reduced[:3], axis=-1), reduced[3])


def _cell_shifts(
    before: np.ndarray, after: np.ndarray, visible: np.ndarray, cell_px: int
) -> np.ndarray:
    """Return the change of the mean of every cell that is visible for the most part."""
    weights = visible.astype(np.float64)
    counts = _sums(weights[..., None], cell_px)
    means = [
        _sums(array * weights[..., None], cell_px) / np.maximum(counts, 1)
        for array in (before, after)
    ]
    return np.abs(means[1] - means[0]).max(axis=-1)[counts[..., 0] > 0.5 * cell_px**2]


def _sums(array: np.ndarray, cell_px: int) -> np.ndarray:
    height, width = (side // cell_px * cell_px for side in array.shape[:2])
    cells = array[:height, :width].reshape(
        height // cell_px, cell_px, width // cell_px, cell_px, array.shape[2]
    )
    return np.asarray(cells.sum(axis=(1, 3)))


def _lightness(levels: np.ndarray) -> np.ndarray:
    """Convert HxWx3 sRGB levels to HxWx1 CIE lightness (IEC 61966-2-1, CIE 15), 0 to 255."""
    values = levels / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    y = linear @ (0.2126, 0.7152, 0.0722)
    return 2.55 * np.where(y <= 216 / 24389, y * 24389 / 27, 116 * np.cbrt(y) - 16)[..., None]


def _max(array: np.ndarray) -> float:
    return float(array.max()) if array.size else 0.0


def _cast(levels: np.ndarray) -> float:
    return float((levels.max(axis=-1) - levels.min(axis=-1)).max()) if levels.size else 0.0
