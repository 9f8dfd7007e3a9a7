"""The sources of photos that a caller may pass: files, contents in memory and decoded photos."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import numpy as np

from restore.errors import Code, RestoreError
from restore.imaging.contents import (
    CONTENT_TYPES,
    Content,
    check_array,
    content_name,
    is_array_like,
    wrong_type,
)
from restore.imaging.limits import LIMITS, Limits
from restore.imaging.named_file import NamedFile
from restore.imaging.photo import Photo, open_photo
from restore.imaging.photo_path import photo_path
from restore.options.arguments import check_text


class NamedContent(NamedTuple):
    """A photo in memory with its name in messages."""

    name: str
    content: Content


Source = str | os.PathLike[str] | Content | NamedFile | NamedContent | Photo

_SINGLE = (str, os.PathLike, NamedFile, NamedContent, Photo, *CONTENT_TYPES)


def as_list(sources: Source | Iterable[Source] | None, what: str = "photo") -> list[Source]:
    """Return one source or several as a list; None is no source.

    Args:
        sources: one or several.
        what: `photo` or `mask`: with its number, the name of a source without a name.

    Raises:
        RestoreError: PHOTO_FORMAT for an object of another type, PHOTO_MISSING for a text that is
            empty or a URL.
    """
    if sources is None:
        return []
    if isinstance(sources, _SINGLE):
        return [_named(sources, what)]
    is_several = isinstance(sources, Iterable) and not isinstance(sources, Mapping | AbstractSet)
    if not is_several or is_array_like(sources):
        raise wrong_type(sources, what)
    several: Sequence[Source] = list(sources)
    is_only = len(several) == 1
    return [
        _named(source, what if is_only else f"{what} {number}")
        for number, source in enumerate(several, start=1)
    ]


def source_name(source: Source) -> str:
    """Return the name of a source in messages and reports."""
    if isinstance(source, str | os.PathLike):
        return photo_path(source).name
    if isinstance(source, Photo | NamedFile | NamedContent):
        return source.name
    return content_name(source)


def read_source(source: Source, limits: Limits = LIMITS) -> Photo:
    """Decode a source; return a photo that is decoded already unchanged.

    Args:
        source: the photo.
        limits: the limits to apply to a file and to a content.

    Raises:
        RestoreError: any PHOTO_* code.
    """
    if isinstance(source, Photo):
        _check_photo(source)
        return source
    if isinstance(source, NamedFile):
        return open_photo(source.path, name=source.name, limits=limits)
    if isinstance(source, NamedContent):
        return open_photo(source.content, name=source.name, limits=limits)
    return open_photo(source, limits=limits)


def read_mask(source: Source, limits: Limits = LIMITS) -> Photo:
    """Decode a source as `read_source`; errors say that the file is a mask.

    Raises:
        RestoreError: any PHOTO_* code.
    """
    try:
        return read_source(source, limits)
    except RestoreError as error:
        name = f"{error.photo or source_name(source)} (a mask)"
        raise RestoreError(error.code, error.reason, error.remedy, photo=name) from error


def _named(source: Source, name: str) -> Source:
    """Give a content in memory its name.

    Raises:
        RestoreError: PHOTO_FORMAT for an object of another type, PHOTO_MISSING for what no path is.
    """
    if not isinstance(source, _SINGLE):
        raise wrong_type(source, name)
    if isinstance(source, str | os.PathLike):
        photo_path(source, name)
        return source
    if isinstance(source, NamedFile | NamedContent | Photo):
        return source
    return NamedContent(content_name(source, name), source)


def _check_photo(photo: Photo) -> None:
    """Refuse a photo that was made of an array without `open_photo` and that no task accepts.

    Raises:
        RestoreError: PHOTO_FORMAT, OPTION_INVALID for a name that is no text.
    """
    check_text("name", photo.name)
    pixels, alpha = photo.pixels, photo.alpha
    for array in (pixels,) if alpha is None else (pixels, alpha):
        if not isinstance(array, np.ndarray):
            raise wrong_type(array, photo.name)
    check_array(pixels, photo.name)
    is_colour = pixels.ndim == 3 and pixels.shape[2] == 3
    is_plain = pixels.dtype in (np.uint8, np.uint16) and pixels.size > 0
    if not is_plain or not (is_colour or photo.is_grey):
        reason = f"its pixels are {pixels.dtype} of the shape {'x'.join(map(str, pixels.shape))}"
    elif alpha is not None and (alpha.shape, alpha.dtype) != (pixels.shape[:2], pixels.dtype):
        reason = "its alpha channel has another size or type than its pixels"
    else:
        return
    remedy = "Make the photo with open_photo(array), which accepts more kinds of arrays."
    raise RestoreError(Code.PHOTO_FORMAT, reason, remedy, photo=photo.name)
