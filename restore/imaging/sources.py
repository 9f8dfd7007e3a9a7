"""The sources of photos that a caller may pass: paths, named files and decoded photos."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from restore.errors import RestoreError
from restore.imaging.limits import LIMITS, Limits
from restore.imaging.named_file import NamedFile
from restore.imaging.photo import Photo, open_photo

Source = str | os.PathLike[str] | NamedFile | Photo


def as_list(sources: Source | Sequence[Source] | None) -> list[Source]:
    """Return one source or several as a list; None is no source."""
    if sources is None:
        return []
    if isinstance(sources, str | os.PathLike | NamedFile | Photo):
        return [sources]
    return list(sources)


def source_name(source: Source) -> str:
    """Return the name of a source in messages and reports."""
    return source.name if isinstance(source, Photo | NamedFile) else Path(source).name


def read_source(source: Source, limits: Limits = LIMITS) -> Photo:
    """Decode a source; return a photo that is decoded already unchanged.

    Args:
        source: the photo.
        limits: the limits to apply to a file.

    Raises:
        RestoreError: any PHOTO_* code.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, NamedFile):
        return open_photo(source.path, name=source.name, limits=limits)
    return open_photo(Path(source), limits=limits)


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
