"""Before/after sheets: one picture that shows what restoring did to several photos, in their own pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[Any]
"""HxW or HxWx3 RGB, uint8 or uint16."""
Rgb = NDArray[np.uint8]
"""HxWx3 uint8."""

_MARGIN_PX = 16
_GAP_PX = 4
_LABEL_PX = 24
_TEXT_PX = 14
_BACKGROUND = (64, 64, 64)
_TEXT = (235, 235, 235)


class Pair(NamedTuple):
    """One photo of a sheet.

    Attributes:
        label: what stands above it.
        before, after: HxW or HxWx3, uint8 or uint16; the same picture, of any size.
        centre: what to show, as shares (x, y) of width and height, such as a face; the most detailed part where it is None.
    """

    label: str
    before: Pixels
    after: Pixels
    centre: tuple[float, float] | None = None


def before_after_sheet(rows: Sequence[Pair], *, cell_px: int = 320, columns: int = 2) -> Rgb:
    """Lays out the most detailed part of each photo, before and after, side by side under its label.

    A whole photo reduced to a cell would hide what changed, so each cell is a crop at the size of the photo after: see `crop_pair`.

    Args:
        rows: the photos.
        cell_px: side of a cell.
        columns: how many pairs stand side by side.

    Returns:
        HxWx3 uint8 RGB.

    Raises:
        ValueError: no rows, or an array that is no photo.
    """
    if not rows:
        raise ValueError("a sheet needs at least one pair of photos")
    columns = min(columns, len(rows))
    pair_px = 2 * cell_px + _GAP_PX
    lines = -(-len(rows) // columns)
    width = columns * (pair_px + _MARGIN_PX) + _MARGIN_PX
    height = _MARGIN_PX + _LABEL_PX + lines * (_LABEL_PX + cell_px + _MARGIN_PX)
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for column in range(columns):
        left = _MARGIN_PX + column * (pair_px + _MARGIN_PX)
        _write(draw, "before", (left, _MARGIN_PX), cell_px)
        _write(draw, "after", (left + cell_px + _GAP_PX, _MARGIN_PX), cell_px)
    for index, pair in enumerate(rows):
        left = _MARGIN_PX + index % columns * (pair_px + _MARGIN_PX)
        top = _MARGIN_PX + _LABEL_PX + index // columns * (_LABEL_PX + cell_px + _MARGIN_PX)
        _write(draw, pair.label, (left, top), pair_px)
        for number, crop in enumerate(crop_pair(pair.before, pair.after, cell_px, pair.centre)):
            high, wide = crop.shape[:2]
            x = left + number * (cell_px + _GAP_PX) + (cell_px - wide) // 2
            sheet.paste(Image.fromarray(crop), (x, top + _LABEL_PX + (cell_px - high) // 2))
    return np.array(sheet)


def crop_pair(
    before: Pixels, after: Pixels, side_px: int, centre: tuple[float, float] | None = None
) -> tuple[Rgb, Rgb]:
    """One part of a photo, before and after, at one size.

    It is the part of the photo after, one pixel for one pixel, around `centre` or with the largest mean gradient; what was there
    before is enlarged to it by bicubic interpolation, the best that a viewer would do without a network.

    Args:
        before: HxW or HxWx3, uint8 or uint16.
        after: the same picture, of any size, colour and depth.
        side_px: the crop's side; a photo with a smaller side is taken whole in that direction.
        centre: as in `Pair`.

    Returns:
        Two HxWx3 uint8 RGB crops of one shape.

    Raises:
        ValueError: an array that is no photo.
    """
    source, result = _as_rgb(before), _as_rgb(after)
    height, width = min(side_px, result.shape[0]), min(side_px, result.shape[1])
    if centre is None:
        top, left = _most_detailed(result, height, width)
    else:
        shares = ((centre[1], height, result.shape[0]), (centre[0], width, result.shape[1]))
        top, left = (
            min(max(round(share * whole - part / 2), 0), whole - part)
            for share, part, whole in shares
        )
    across, down = source.shape[1] / result.shape[1], source.shape[0] / result.shape[0]
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    enlarged = Image.fromarray(source).resize((width, height), Image.Resampling.BICUBIC, box=box)
    return np.array(enlarged), result[top : top + height, left : left + width]


def _most_detailed(photo: Rgb, height: int, width: int) -> tuple[int, int]:
    """Top and left of the window of this size with the largest mean gradient."""
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


def _as_rgb(photo: Pixels) -> Rgb:
    if (
        photo.dtype not in (np.uint8, np.uint16)
        or photo.ndim not in (2, 3)
        or photo.shape[2:] not in ((), (3,))
        or not photo.size
    ):
        raise ValueError(
            f"{photo.dtype} of shape {photo.shape} is no photo: HxW or HxWx3, uint8 or uint16"
        )
    eight_bit = photo if photo.dtype == np.uint8 else np.rint(photo / 257).astype(np.uint8)
    return eight_bit if photo.ndim == 3 else np.repeat(eight_bit[..., None], 3, axis=2)


def _write(draw: ImageDraw.ImageDraw, text: str, corner: tuple[int, int], width_px: int) -> None:
    """One line of text, cut to the width it has."""
    font = ImageFont.load_default(size=_TEXT_PX)
    shown = text
    while len(shown) > 1 and draw.textlength(shown, font=font) > width_px:
        shown = f"{shown[:-2]}…"
    draw.text(corner, shown, font=font, fill=_TEXT)
