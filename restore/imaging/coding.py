"""How a file codes its samples, so that a result can be coded in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, JpegImagePlugin

from restore.imaging.webp import is_lossless_webp

SAME_FORMAT = "same"
_OWN_FORMATS = {"JPEG": "jpg", "WEBP": "webp"}
_NEAREST_FORMATS = {"HEIC": "jpg", "AVIF": "webp"}
"""For lossy formats that are read but not written. AVIF often has transparency, as webp has."""
_LOSSLESS_OWN_FORMAT = "png"
_TABLE_SIDE = 8
_FULL_CHROMA, _HALF_WIDTH_CHROMA = 0, 1
_CODED_MODES = ("L", "RGB", "CMYK")


@dataclass(frozen=True)
class Coding:
    """How a file codes its samples.

    Attributes:
        size: (width, height) of the upright photo.
        tables: the quantisation tables of a JPEG, one for each component, 64 values by rows.
        subsampling: the chroma subsampling of a JPEG as Pillow numbers it: 0 for 4:4:4, 1 for
            4:2:2, 2 for 4:2:0.
        is_lossless: whether it is a lossless WebP.
    """

    size: tuple[int, int]
    tables: tuple[tuple[int, ...], ...] = ()
    subsampling: int = _FULL_CHROMA
    is_lossless: bool = False

    def fits(self, pixels: np.ndarray) -> bool:
        """Return whether pixels have the size and the components of the photo."""
        components = 1 if pixels.ndim == 2 else pixels.shape[2]
        return self.size == pixels.shape[1::-1] and len(self.tables) == components

    def transposed(self) -> Coding:
        """Return the coding of the photo with its rows and columns exchanged."""
        tables = tuple(
            tuple(np.array(table).reshape(_TABLE_SIDE, _TABLE_SIDE).T.ravel().tolist())
            for table in self.tables
        )
        # Pillow has no number for chroma of half the height.
        has_half_width = self.subsampling == _HALF_WIDTH_CHROMA
        subsampling = _FULL_CHROMA if has_half_width else self.subsampling
        return replace(self, size=self.size[::-1], tables=tables, subsampling=subsampling)


def read_coding(image: Image.Image, data: bytes) -> Coding | None:
    """Return how a JPEG or a lossless WebP codes its samples, or None for any other file.

    Args:
        image: as opened by Pillow.
        data: the content of the file.
    """
    if image.format == "WEBP":
        return Coding(image.size, is_lossless=True) if is_lossless_webp(data) else None
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.mode not in _CODED_MODES:
        return None
    numbers = [component[3] for component in image.layer]
    if not set(numbers) <= set(image.quantization):
        return None
    tables = tuple(tuple(image.quantization[number]) for number in numbers)
    subsampling = JpegImagePlugin.get_sampling(image)
    return Coding(image.size, tables, max(subsampling, _FULL_CHROMA))


def output_format_of(requested: str, file_format: str) -> str:
    """Return 'jpg', 'png' or 'webp': the requested format, or for 'same' that of the photo.

    TIFF, BMP and GIF become png, which loses nothing of them; HEIC becomes jpg and AVIF webp.
    """
    if requested != SAME_FORMAT:
        return requested
    return (_OWN_FORMATS | _NEAREST_FORMATS).get(file_format, _LOSSLESS_OWN_FORMAT)


def is_not_written(file_format: str) -> bool:
    """Return whether `same` is another lossy format, because this one is only read."""
    return file_format in _NEAREST_FORMATS


def distinct_tables(tables: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Return the tables as Pillow assigns them: the last one is that of all further components."""
    kept = [list(table) for table in tables]
    while len(kept) > 1 and kept[-1] == kept[-2]:
        kept.pop()
    return kept
