"""Masks: what is to be filled in a photo, from polygons or from a picture. True is a hole.

Pure functions of numbers and pixels, but for the reports that a doubtful mask is said in; where masks come from is decided elsewhere.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo
from restore.report import Report

Array = np.ndarray

MAX_POLYGONS = 1_000
MAX_VERTICES = 10_000  # of all polygons together: drawing takes the square of the edges across a row, 10 s here for the worst of 24 MP
MAX_COORDINATE = (
    1e9  # of a pixel: beyond it float64 no longer knows parts of one once edges are cut
)
MAX_CHARACTERS = 50 * MAX_VERTICES
MOST_IN_BETWEEN = 0.1  # of a mask's pixels that are neither black nor white
MAX_ASPECT_DIFFERENCE = 0.01

_SHAPE = "[[x, y], [x, y], [x, y], ...], or a list of such polygons, in pixels of the upright photo"
_REMEDY = f"Give points as JSON: {_SHAPE}."
_MARGIN_PX = 2.0  # polygons are cut this far outside the photo, so that the cuts' own edges mark no pixel of it
_SUBPIXEL_BITS = 4  # OpenCV takes vertices in sixteenths of a pixel


def masks_of(
    photos: Sequence[Photo], masks: Sequence[Photo], points: str | None, reports: Sequence[Report]
) -> list[Array | None]:
    """What is to be filled in each photo: by its mask, by the polygons, or by both; None without either.

    Raises:
        RestoreError: MASK, where masks and photos do not go together.
    """
    if len(masks) not in {0, 1, len(photos)}:
        reason = f"the request has {len(masks)} masks for {len(photos)} photos"
        raise RestoreError(
            Code.MASK, reason, "Send one mask for all photos, or one for each in their order."
        )
    polygons = None if points is None else polygons_of(points)
    holes: list[Array | None] = []
    for index, (photo, report) in enumerate(zip(photos, reports, strict=True)):
        try:
            drawn = None if polygons is None else filled(polygons, photo.width, photo.height)
            mask = masks[min(index, len(masks) - 1)] if masks else None
            painted = (
                None if mask is None else mask_from(mask, photo.width, photo.height, report.warn)
            )
        except RestoreError as error:
            raise error.about(photo.name) from error
        holes.append(painted if drawn is None else drawn if painted is None else drawn | painted)
    return holes


def polygons_of(points: str) -> tuple[Array, ...]:
    """Reads one polygon or several from JSON.

    Args:
        points: `[[x, y], ...]` or a list of such polygons, at least three vertices each, in pixels.

    Returns:
        Each polygon as Nx2 float64, finite, at most MAX_COORDINATE from the origin.

    Raises:
        RestoreError: MASK, naming the polygon and the vertex.
    """
    if len(points) > MAX_CHARACTERS:
        raise _refusal(
            f"points has {len(points)} characters, the limit is {MAX_CHARACTERS}",
            "Give simpler polygons, or a mask.",
        )
    try:
        # JSON has no NaN and no infinity; Python takes them for numbers unless told otherwise: they are refused by name below.
        read = json.loads(points)
    except (ValueError, RecursionError) as error:
        raise _refusal(
            f"points is {_shown(points)}, which is no JSON ({str(error)[:80]})"
        ) from None
    if not isinstance(read, list) or not read:
        raise _refusal(f"points is {_shown(points)}, which is no polygon and no list of polygons")
    polygons = read if _is_list_of_polygons(read) else [read]
    if len(polygons) > MAX_POLYGONS:
        raise _refusal(
            f"points has {len(polygons)} polygons, the limit is {MAX_POLYGONS}",
            "Send a mask picture instead.",
        )
    if (
        count := sum(len(polygon) for polygon in polygons if isinstance(polygon, list))
    ) > MAX_VERTICES:
        raise _refusal(
            f"points has {count} vertices, the limit is {MAX_VERTICES}",
            "Give simpler polygons, or a mask.",
        )
    return tuple(_polygon(polygon, number) for number, polygon in enumerate(polygons, start=1))


def filled(polygons: tuple[Array, ...], width: int, height: int) -> Array:
    """Draws polygons as `polygons_of` gives them: even-odd where one crosses itself, the union of several.

    A pixel that a polygon's edge runs through belongs to it, so that the thinnest marks something; (0, 0) is the centre of the
    first pixel. What reaches beyond the photo is cut off.

    Returns:
        HxW bool.

    Raises:
        RestoreError: MASK for a polygon that covers no pixel of the photo, naming it and the photo's size.
    """
    mask = np.zeros((height, width), np.bool_)
    for number, polygon in enumerate(polygons, start=1):
        visible, seen = _cut_to(polygon, width, height), False
        if len(visible):
            # Only the polygon's own box is drawn: a thousand small ones cost as much as one large one. All of that box, for where
            # OpenCV itself has to cut a line off, the rest of it comes out up to a pixel and a half beside.
            left, top = np.floor(visible.min(axis=0)).astype(int)
            right, bottom = np.ceil(visible.max(axis=0)).astype(int) + 1
            drawn = np.zeros((bottom - top, right - left), np.uint8)
            vertices = np.rint((visible - (left, top)) * 2**_SUBPIXEL_BITS).astype(np.int32)
            cv2.fillPoly(drawn, [vertices], 1, shift=_SUBPIXEL_BITS)
            (y0, y1), (x0, x1) = np.clip((top, bottom), 0, height), np.clip((left, right), 0, width)
            inside = drawn[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.bool_)
            mask[y0:y1, x0:x1] |= inside
            seen = bool(inside.any())
        if not seen:
            reason = f"polygon {number} of points covers no pixel of the photo, which is {width}x{height}"
            raise _refusal(reason, f"Give x from 0 to {width - 1} and y from 0 to {height - 1}.")
    return mask


def mask_from(photo: Photo, width: int, height: int, warn: Callable[[str], None]) -> Array:
    """Reads a mask picture: True where it is lighter than half of white and, where it has alpha, more opaque than half.

    The official code takes all that is not black. A mask saved as JPEG has grey specks of a few levels around every edge, which
    would be holes; half of white is where a soft edge was before it was softened.

    Args:
        photo: grey or RGB (by its luminance), 8 or 16 bits.
        width, height: of the photo that is to be filled. A mask of the same aspect (within 1 %) is brought to that size.
        warn: told that the mask was resized, or that it is hardly a mask.

    Returns:
        HxW bool.

    Raises:
        RestoreError: MASK for another aspect, naming both sizes.
    """
    half = np.iinfo(photo.pixels.dtype).max // 2
    grey = photo.pixels if photo.is_grey else cv2.cvtColor(photo.pixels, cv2.COLOR_RGB2GRAY)
    mask: Array = grey > half
    if photo.alpha is not None:
        mask &= photo.alpha > half
    between = (grey > 0.2 * half) & (grey < 1.8 * half)
    if float(between.mean()) > MOST_IN_BETWEEN:
        warn(
            f"the mask '{photo.name}' looks like a photo: what is lighter than half of white in it was filled"
        )
    if (photo.width, photo.height) == (width, height):
        return mask
    sizes = f"the mask '{photo.name}' has {photo.width}x{photo.height} pixels, the photo {width}x{height}"
    if abs(photo.width * height / (photo.height * width) - 1) > MAX_ASPECT_DIFFERENCE:
        raise _refusal(sizes, "Send a mask of the photo's size.")
    warn(f"{sizes}: the mask was brought to the photo's size")
    resized = cv2.resize(
        mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    )
    return resized.astype(np.bool_)


def _is_list_of_polygons(read: list[object]) -> bool:
    """Tells several polygons from one by the first vertex: a list in a list in a list."""
    first = read[0]
    return isinstance(first, list) and (not first or isinstance(first[0], list))


def _polygon(polygon: object, number: int) -> Array:
    if not isinstance(polygon, list):
        raise _refusal(
            f"polygon {number} of points is {_shown(polygon)}, which is no list of vertices"
        )
    if len(polygon) < 3:
        raise _refusal(
            f"polygon {number} of points has {len(polygon)} vertices, it takes at least three"
        )
    return np.array(
        [
            _vertex(vertex, f"vertex {index} of polygon {number}")
            for index, vertex in enumerate(polygon, start=1)
        ]
    )


def _vertex(vertex: object, named: str) -> tuple[float, float]:
    if (
        not isinstance(vertex, list)
        or len(vertex) != 2
        or not all(_is_number(value) for value in vertex)
    ):
        raise _refusal(f"{named} of points is {_shown(vertex)}, which is no pair of numbers")
    if not all(math.isfinite(value) and abs(value) <= MAX_COORDINATE for value in vertex):
        raise _refusal(f"{named} of points is {_shown(vertex)}, which is no place in a photo")
    return float(vertex[0]), float(vertex[1])


def _is_number(value: object) -> bool:
    # bool is an int to Python. An int too long for a float would raise in isfinite.
    return isinstance(value, float) or (
        isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 1000
    )


def _cut_to(polygon: Array, width: int, height: int) -> Array:
    """Cuts a polygon to the photo and a margin (Sutherland and Hodgman, CACM 1974): inside, even-odd stays what it was."""
    for axis, end in ((0, width), (1, height)):
        for limit, sign in ((-_MARGIN_PX, -1.0), (end - 1 + _MARGIN_PX, 1.0)):
            here, next_one = polygon[:, axis], np.roll(polygon[:, axis], -1)
            inside = sign * (here - limit) <= 0
            crosses = inside != np.roll(inside, -1)
            share = np.divide(
                limit - here, next_one - here, out=np.zeros(len(polygon)), where=crosses
            )
            cuts = polygon + share[:, None] * (np.roll(polygon, -1, axis=0) - polygon)
            cuts[:, axis] = limit
            polygon = np.stack([polygon, cuts], axis=1).reshape(-1, 2)[
                np.stack([inside, crosses], axis=1).ravel()
            ]
    return polygon


def _shown(value: object) -> str:
    text = reprlib.repr(value)  # cuts what is long and what is nested deep
    return text if len(text) <= 60 else text[:57] + "..."


def _refusal(reason: str, remedy: str = _REMEDY) -> RestoreError:
    return RestoreError(Code.MASK, reason, remedy)
