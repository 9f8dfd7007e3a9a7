"""Polygons that mark the areas to fill in a photo: parsing from JSON, and drawing."""

from __future__ import annotations

import json
import math
import reprlib

import cv2
import numpy as np

from restore.errors import Code, RestoreError

MAX_POLYGONS = 1_000
MAX_VERTICES = 10_000
"""Of all polygons. Drawing takes the square of the edges in a row: up to 10 s for 24 megapixels."""
MAX_COORDINATE_PX = 1e9
"""Above this, clipped edges lose subpixel precision in float64."""
MAX_CHARACTERS = 50 * MAX_VERTICES

_REMEDY = (
    "Give points as JSON: [[x, y], [x, y], [x, y], ...], or a list of such polygons, "
    "in pixels of the upright photo."
)
_MARGIN_PX = 2.0  # polygons are clipped at this distance outside the photo
_SUBPIXEL_BITS = 4  # OpenCV draws vertices in sixteenths of a pixel
_MAX_SHOWN_CHARACTERS = 60


def parse_polygons(points: str) -> tuple[np.ndarray, ...]:
    """Parse one polygon or several from JSON.

    Args:
        points: `[[x, y], ...]` or a list of such polygons, each with at least three vertices, in
            pixels.

    Returns:
        Each polygon as Nx2 float64, finite, with coordinates up to MAX_COORDINATE_PX.

    Raises:
        RestoreError: MASK, with the number of the polygon and the vertex.
    """
    if len(points) > MAX_CHARACTERS:
        raise _invalid(
            f"points has {len(points)} characters, the limit is {MAX_CHARACTERS}",
            "Give simpler polygons, or a mask.",
        )
    try:
        # Python accepts NaN and Infinity, which `_vertex` rejects.
        parsed = json.loads(points)
    except (ValueError, RecursionError) as error:
        raise _invalid(
            f"points is {_shorten(points)}, which is not JSON ({str(error)[:80]})"
        ) from None
    if not isinstance(parsed, list) or not parsed:
        raise _invalid(
            f"points is {_shorten(points)}, which is not a polygon or a list of polygons"
        )
    polygons = parsed if _is_list_of_polygons(parsed) else [parsed]
    if len(polygons) > MAX_POLYGONS:
        raise _invalid(
            f"points has {len(polygons)} polygons, the limit is {MAX_POLYGONS}",
            "Send a mask image instead.",
        )
    vertices = sum(len(polygon) for polygon in polygons if isinstance(polygon, list))
    if vertices > MAX_VERTICES:
        raise _invalid(
            f"points has {vertices} vertices, the limit is {MAX_VERTICES}",
            "Give simpler polygons, or a mask.",
        )
    return tuple(_polygon(polygon, number) for number, polygon in enumerate(polygons, start=1))


def draw_polygons(polygons: tuple[np.ndarray, ...], width: int, height: int) -> np.ndarray:
    """Draw the union of polygons; a polygon that crosses itself is filled by the even-odd rule.

    Pixels on an edge are included, so a polygon without area still marks pixels. (0, 0) is the
    centre of the first pixel. Parts outside the photo are clipped.

    Args:
        polygons: as from `parse_polygons`.
        width: the photo's width in pixels.
        height: the photo's height in pixels.

    Returns:
        HxW bool.

    Raises:
        RestoreError: MASK for a polygon that covers no pixel of the photo.
    """
    mask = np.zeros((height, width), np.bool_)
    for number, polygon in enumerate(polygons, start=1):
        if not _draw_polygon(mask, _clip_polygon(polygon, width, height)):
            raise _invalid(
                f"polygon {number} of points covers no pixel of the photo, "
                f"which is {width}x{height}",
                f"Give x from 0 to {width - 1} and y from 0 to {height - 1}.",
            )
    return mask


def _is_list_of_polygons(parsed: list[object]) -> bool:
    """Tell several polygons from one: their first vertex is nested one level deeper."""
    first = parsed[0]
    return isinstance(first, list) and (not first or isinstance(first[0], list))


def _polygon(polygon: object, number: int) -> np.ndarray:
    name = f"polygon {number}"
    if not isinstance(polygon, list):
        raise _invalid(f"{name} of points is {_shorten(polygon)}, which is not a list of vertices")
    if len(polygon) < 3:
        raise _invalid(f"{name} of points needs at least three vertices, not {len(polygon)}")
    vertices = enumerate(polygon, start=1)
    return np.array([_vertex(vertex, f"vertex {index} of {name}") for index, vertex in vertices])


def _vertex(vertex: object, name: str) -> tuple[float, float]:
    if (
        not isinstance(vertex, list)
        or len(vertex) != 2
        or not all(_is_number(value) for value in vertex)
    ):
        raise _invalid(f"{name} of points is {_shorten(vertex)}, which is not a pair of numbers")
    if not all(math.isfinite(value) and abs(value) <= MAX_COORDINATE_PX for value in vertex):
        raise _invalid(f"{name} of points is {_shorten(vertex)}, which is too far from the photo")
    return float(vertex[0]), float(vertex[1])


def _is_number(value: object) -> bool:
    # bool is a subclass of int. An int of 1024 bits or more cannot be converted to float.
    return isinstance(value, float) or (
        isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 1000
    )


def _draw_polygon(mask: np.ndarray, vertices: np.ndarray) -> bool:
    """Draw one clipped polygon into an HxW mask; return whether it covers a pixel."""
    if not len(vertices):
        return False
    # Only the bounding box of the polygon is drawn, so a thousand small polygons cost as much as
    # a large one. It is drawn completely, and cropped to the photo afterwards, because lines that
    # OpenCV clips itself are up to a pixel and a half off.
    height, width = mask.shape
    left, top = np.floor(vertices.min(axis=0)).astype(int)
    right, bottom = np.ceil(vertices.max(axis=0)).astype(int) + 1
    box = np.zeros((bottom - top, right - left), np.uint8)
    fixed_point = np.rint((vertices - (left, top)) * 2**_SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(box, [fixed_point], 1, shift=_SUBPIXEL_BITS)
    (y0, y1), (x0, x1) = np.clip((top, bottom), 0, height), np.clip((left, right), 0, width)
    inside = box[y0 - top : y1 - top, x0 - left : x1 - left].astype(np.bool_)
    mask[y0:y1, x0:x1] |= inside
    return bool(inside.any())


def _clip_polygon(polygon: np.ndarray, width: int, height: int) -> np.ndarray:
    """Clip a polygon to the photo and a margin (Sutherland and Hodgman, CACM 1974).

    The margin keeps the clipped edges outside the photo; inside, the even-odd rule gives the same.
    """
    for axis, end in ((0, width), (1, height)):
        for limit, sign in ((-_MARGIN_PX, -1.0), (end - 1 + _MARGIN_PX, 1.0)):
            current, following = polygon[:, axis], np.roll(polygon[:, axis], -1)
            inside = sign * (current - limit) <= 0
            crosses = inside != np.roll(inside, -1)
            share = np.divide(
                limit - current, following - current, out=np.zeros(len(polygon)), where=crosses
            )
            crossings = polygon + share[:, None] * (np.roll(polygon, -1, axis=0) - polygon)
            crossings[:, axis] = limit
            polygon = np.stack([polygon, crossings], axis=1).reshape(-1, 2)[
                np.stack([inside, crosses], axis=1).ravel()
            ]
    return polygon


def _shorten(value: object) -> str:
    """Return a short representation; reprlib limits length and nesting."""
    text = reprlib.repr(value)
    if len(text) <= _MAX_SHOWN_CHARACTERS:
        return text
    return text[: _MAX_SHOWN_CHARACTERS - 3] + "..."


def _invalid(reason: str, remedy: str = _REMEDY) -> RestoreError:
    return RestoreError(Code.MASK, reason, remedy)
