"""Decide which detected scratches are filled, and report damage that is not."""

from __future__ import annotations

import cv2
import numpy as np

from restore.imaging.convert import to_8_bits, to_grey
from restore.imaging.photo import Photo
from restore.pipelines.context import StepContext
from restore.pipelines.old_photo_scratches import reduce_to

CORNER_LONG_SIDE_PX = 320
"""Long side at which torn corners are looked for."""

PAPER_LEVEL = 230
"""Level from which a flat corner may be the lid of the scanner."""

MAX_LID_SPREAD_LEVELS = 8
"""Largest difference of a pixel of the lid from the corner pixel."""

FRAME_PX = 9
"""Strips of a frame that are narrower do not belong to a torn corner."""

CORNER_LENGTHS = (0.06, 0.6)
"""Length of a torn corner along both sides, as a fraction of the side."""

CORNER_FILLING = (0.35, 0.7)
"""Area of a torn corner over that of the rectangle around it; a triangle has 0.5."""

MIN_EDGE_CONTRAST_LEVELS = 30.0
"""Difference between the lid and nearly all of the photo beside it; a white sky fades out."""


def select_filled(mask: np.ndarray, context: StepContext) -> np.ndarray:
    """Return the scratches that are filled: all, or none if they cover too much of the photo.

    The share above which none is filled is a rule, because the official code has no limit.

    Args:
        mask: HxW bool, the detected scratches.
        context: its report gets a note of what is filled, or a warning and the status "reduced"
            if none is because of the share.
    """
    share, max_share = float(mask.mean()), context.rules.max_scratched_share
    if share <= max_share:
        if mask.any():
            # Thin objects may be among them, which only a person can tell.
            count = cv2.connectedComponents(mask.astype(np.uint8))[0] - 1
            size = f"{100 * share:.2g} % of the photo"
            filled = (
                f"{count} areas of {size} in total were filled as scratches"
                if count > 1
                else f"1 area of {size} was filled as a scratch"
            )
            context.report.notes.append(f"{filled}; return_mask shows where")
        else:
            context.report.notes.append(
                "no clear scratches were found; a lower scratch_threshold fills fainter ones"
            )
        return mask
    context.report.warn(
        f"{100 * share:.0f}% of the photo was detected as scratches, more than"
        f" {100 * max_share:.0f}%, so none was filled: it may be a print with dots, cloth or"
        " another texture; if it is scratched, raise scratch_threshold, or send a mask of the"
        " scratches to inpaint"
    )
    context.report.status = "reduced"
    return np.zeros_like(mask)


def report_torn_corners(photo: Photo, context: StepContext) -> None:
    """Add a warning about corners that seem to be torn off; they are not filled."""
    names = find_torn_corners(to_grey(to_8_bits(photo.pixels)))
    if names:
        context.report.warn(
            f"a corner seems to be torn off ({', '.join(names)}), which was not filled: send a mask"
            " of it to inpaint"
        )


def find_torn_corners(luminance: np.ndarray) -> list[str]:
    """Find corners that are missing, so that the white lid of the scanner is seen.

    Args:
        luminance: HxW uint8.

    Returns:
        The names of the corners.
    """
    small = reduce_to(luminance, CORNER_LONG_SIDE_PX)
    turned = {
        "top left": small,
        "top right": small[:, ::-1],
        "bottom left": small[::-1],
        "bottom right": small[::-1, ::-1],
    }
    return [name for name, picture in turned.items() if _is_torn(np.ascontiguousarray(picture))]


def _is_torn(luminance: np.ndarray) -> bool:
    """Tell whether the top left corner is a flat white triangle."""
    lid = _flood_corner(luminance)
    height, width = lid.shape
    if not lid[0, 0]:
        return False
    along = (_run_length(lid[0]) / width, _run_length(lid[:, 0]) / height)
    if not all(CORNER_LENGTHS[0] < length < CORNER_LENGTHS[1] for length in along):
        return False
    if not CORNER_FILLING[0] < lid.mean() / (along[0] * along[1]) < CORNER_FILLING[1]:
        return False
    area: np.ndarray = lid.astype(np.uint8)
    near, around = (cv2.dilate(area, np.ones((side, side), np.uint8)) > 0 for side in (5, 11))
    contrasts = np.abs(luminance[around & ~near].astype(np.float32) - float(luminance[0, 0]))
    return bool(np.percentile(contrasts, 20.0) > MIN_EDGE_CONTRAST_LEVELS)


def _flood_corner(luminance: np.ndarray) -> np.ndarray:
    """Return the flat white area at the top left corner, without the strips of a frame."""
    level = int(luminance[0, 0])
    if level < PAPER_LEVEL or min(luminance.shape) < FRAME_PX:
        return np.zeros(luminance.shape, bool)
    flooded = np.zeros(tuple(side + 2 for side in luminance.shape), np.uint8)
    spread = (MAX_LID_SPREAD_LEVELS,) * 3
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
    cv2.floodFill(luminance.copy(), flooded, (0, 0), 0, spread, spread, flags)
    opened = cv2.morphologyEx(
        flooded[1:-1, 1:-1], cv2.MORPH_OPEN, np.ones((FRAME_PX, FRAME_PX), np.uint8)
    )
    return np.asarray(opened > 0)


def _run_length(line: np.ndarray) -> int:
    """Return how many elements of a bool array are True before the first False."""
    return int(np.argmin(np.append(line, False)))
