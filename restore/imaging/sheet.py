"""Before/after sheets: one image that shows details of several photos before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from restore.imaging.convert import to_8_bits, to_rgb

_MARGIN_PX = 16
_GAP_PX = 4
_LABEL_PX = 24
_TEXT_PX = 14
_BACKGROUND = (64, 64, 64)
_TEXT = (235, 235, 235)


class Pair(NamedTuple):
    """One photo of a sheet.

    Attributes:
        label: the text above it.
        before: HxW or HxWx3 RGB, uint8 or uint16.
        after: the same picture, of any size, HxW or HxWx3 RGB, uint8 or uint16.
        centre: (x, y) of the detail to show, as fractions of width and height; None for the part
            with the most detail.
    """

    label: str
    before: np.ndarray
    after: np.ndarray
    centre: tuple[float, float] | None = None


def before_after_sheet(
    pairs: Sequence[Pair], *, cell_px: int = 320, columns: int = 2
) -> np.ndarray:
    """Draw a detail of each photo, before and after, side by side under its label.

    Each cell is a crop at the full resolution of the photo after, because a photo reduced to the
    size of a cell would hide what changed.

    Args:
        pairs: the photos.
        cell_px: side of a cell.
        columns: number of pairs side by side.

    Returns:
        HxWx3 uint8 RGB.

    Raises:
        ValueError: there are no pairs, or an array is not a photo.
    """
    if not pairs:
        raise ValueError("a sheet needs at least one pair of photos")
    columns = min(columns, len(pairs))
    pair_px = 2 * cell_px + _GAP_PX
    line_px = _LABEL_PX + cell_px + _MARGIN_PX
    lines = -(-len(pairs) // columns)
    size = (
        columns * (pair_px + _MARGIN_PX) + _MARGIN_PX,
        _MARGIN_PX + _LABEL_PX + lines * line_px,
    )
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for column in range(columns):
        left = _MARGIN_PX + column * (pair_px + _MARGIN_PX)
        _write(draw, "before", (left, _MARGIN_PX), cell_px)
        _write(draw, "after", (left + cell_px + _GAP_PX, _MARGIN_PX), cell_px)
    for index, pair in enumerate(pairs):
        left = _MARGIN_PX + index % columns * (pair_px + _MARGIN_PX)
        top = _MARGIN_PX + _LABEL_PX + index // columns * line_px
        _write(draw, pair.label, (left, top), pair_px)
        for number, crop in enumerate(crop_pair(pair.before, pair.after, cell_px, pair.centre)):
            height, width = crop.shape[:2]
            x = left + number * (cell_px + _GAP_PX) + (cell_px - width) // 2
            y = top + _LABEL_PX + (cell_px - height) // 2
            sheet.paste(Image.fromarray(crop), (x, y))
    return np.array(sheet)


def crop_pair(
    before: np.ndarray,
    after: np.ndarray,
    side_px: int,
    centre: tuple[float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Crop the same part of a photo before and after, at the resolution of the photo after.

    The part before is enlarged by bicubic interpolation, as a photo viewer would do.

    Args:
        before: HxW or HxWx3 RGB, uint8 or uint16.
        after: the same picture, of any size, colour and bit depth.
        side_px: side of the crop; a photo with a shorter side is not cropped in that direction.
        centre: as in `Pair`; by default the part with the largest mean gradient.

    Returns:
        Two HxWx3 uint8 RGB crops of one shape.

    Raises:
        ValueError: an array is not a photo.
    """
    before, after = _to_8_bit_rgb(before), _to_8_bit_rgb(after)
    height, width = min(side_px, after.shape[0]), min(side_px, after.shape[1])
    if centre is None:
        top, left = _most_detailed_window(after, height, width)
    else:
        top = _window_start(centre[1], height, after.shape[0])
        left = _window_start(centre[0], width, after.shape[1])
    scale_x, scale_y = before.shape[1] / after.shape[1], before.shape[0] / after.shape[0]
    box = (left * scale_x, top * scale_y, (left + width) * scale_x, (top + height) * scale_y)
    enlarged = Image.fromarray(before).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.array(enlarged), after[top : top + height, left : left + width]


def _window_start(centre: float, window_px: int, side_px: int) -> int:
    """Return the start of a window around a centre, moved inside the photo."""
    return min(max(round(centre * side_px - window_px / 2), 0), side_px - window_px)


def _most_detailed_window(photo: np.ndarray, height: int, width: int) -> tuple[int, int]:
    """Return top and left of the window of this size with the largest mean gradient."""
    luma = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gradient = np.abs(np.diff(luma, axis=0, append=luma[-1:])) + np.abs(
        np.diff(luma, axis=1, append=luma[:, -1:])
    )
    sums = cv2.integral(gradient, sdepth=cv2.CV_64F)
    windows = (
        sums[height:, width:]
        - sums[:-height, width:]
        - sums[height:, :-width]
        + sums[:-height, :-width]
    )
    top, left = np.unravel_index(int(windows.argmax()), windows.shape)
    return int(top), int(left)


def _to_8_bit_rgb(photo: np.ndarray) -> np.ndarray:
    if (
        photo.dtype not in (np.uint8, np.uint16)
        or photo.ndim not in (2, 3)
        or photo.shape[2:] not in ((), (3,))
        or not photo.size
    ):
        raise ValueError(
            f"{photo.dtype} of shape {photo.shape} is not a photo: "
            "expected HxW or HxWx3, uint8 or uint16"
        )
    return to_rgb(to_8_bits(photo))


def _write(draw: ImageDraw.ImageDraw, text: str, corner: tuple[int, int], width_px: int) -> None:
    """Write one line of text, shortened to a width."""
    font = ImageFont.load_default(size=_TEXT_PX)
    shortened = text
    while len(shortened) > 1 and draw.textlength(shortened, font=font) > width_px:
        shortened = f"{shortened[:-2]}…"
    draw.text(corner, shortened, font=font, fill=_TEXT)
