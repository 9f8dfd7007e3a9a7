"""The suffixes of image files: of the formats that results can have, and of those only read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

OUTPUT_SUFFIXES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"jpg": (".jpg", ".jpeg", ".jpe", ".jfif"), "png": (".png",), "webp": (".webp",)}
)
"""The suffixes of each format that a result can have, the usual one first."""

FORMAT_OF_SUFFIX: Mapping[str, str] = MappingProxyType(
    {suffix: name for name, suffixes in OUTPUT_SUFFIXES.items() for suffix in suffixes}
)

READ_ONLY_SUFFIXES = frozenset(
    {
        *(".gif", ".tif", ".tiff", ".bmp", ".dib"),
        *(".heic", ".heif", ".hif", ".avif", ".jxl", ".jp2"),
    }
)
"""Suffixes of photos that results cannot have. JPEG XL and JPEG 2000 are recognised and refused."""

PHOTO_SUFFIXES = READ_ONLY_SUFFIXES | FORMAT_OF_SUFFIX.keys()


def output_suffixes_in_words() -> str:
    """Return '.jpg, .png or .webp': the usual suffixes of results, for messages."""
    *usual, last = (suffixes[0] for suffixes in OUTPUT_SUFFIXES.values())
    return f"{', '.join(usual)} or {last}"
