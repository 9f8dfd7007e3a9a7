"""The photos of a batch and the names of their results."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath
from posixpath import basename, splitext  # pathlib takes ten times as long
from zlib import crc32

from restore.batch.folder import Entry, Folder
from restore.errors import Code, RestoreError
from restore.imaging.suffixes import FORMAT_OF_SUFFIX, PHOTO_SUFFIXES
from restore.words import counted


@dataclass(frozen=True, slots=True)
class BatchPhoto:
    """One photo of a batch.

    Attributes:
        entry: the file.
        shares_stem: whether another photo of the folder differs by its suffix only.
    """

    entry: Entry
    shares_stem: bool = False

    @property
    def name(self) -> str:
        """Path relative to the input folder."""
        return self.entry.name

    def output_name(self, output_format: str) -> str:
        """Return the path of the result relative to the output folder.

        It is the name of the photo if its suffix fits the format. Otherwise the suffix is replaced,
        or appended if another photo has the same name with another suffix.

        Args:
            output_format: 'jpg', 'png' or 'webp'.
        """
        path = PurePosixPath(self.name)
        if FORMAT_OF_SUFFIX.get(path.suffix.lower()) == output_format:
            return self.name
        if self.shares_stem:
            return f"{self.name}.{output_format}"
        return str(path.with_name(f"{path.stem}.{output_format}"))


@dataclass(frozen=True)
class Listing:
    """The photos of a folder.

    Attributes:
        photos: in the order of their names.
        ignored: number of files that are not photos.
    """

    photos: tuple[BatchPhoto, ...]
    ignored: int


def list_photos(folder: Folder, globs: Sequence[str] = (), *, recursive: bool = True) -> Listing:
    """List the photos below a folder.

    Args:
        globs: patterns of the names to take, such as `1950/*.tif`; none means all files with the
            suffix of a photo. A pattern without `/` is compared with the last part of a name.
        recursive: look into subfolders, too.

    Raises:
        RestoreError: PHOTO_MISSING if the folder cannot be read, or if it has no photos.
    """
    entries, ignored = [], 0
    for entry in folder.entries(recursive=recursive):
        if _matches(entry.name, globs):
            entries.append(entry)
        else:
            ignored += 1
    if not entries:
        what = f"match {' or '.join(globs)}" if globs else "have the suffix of a photo"
        found = f"no files in '{folder.place}' {what} ({counted(ignored, 'other file')})"
        raise RestoreError(
            Code.PHOTO_MISSING,
            found if ignored else f"there are no files in '{folder.place}'",
            "Check the folder, or choose files with --glob.",
        )
    counts = Counter(_stem(entry) for entry in entries)
    photos = tuple(BatchPhoto(entry, counts[_stem(entry)] > 1) for entry in entries)
    return Listing(photos, ignored)


def take_shard(photos: Iterable[BatchPhoto], index: int, count: int) -> list[BatchPhoto]:
    """Return the photos of one shard of several.

    A photo's shard depends on its name only, so that it stays when photos are added.

    Args:
        index: number of the shard, 1 to count.
        count: number of shards.
    """
    return [photo for photo in photos if crc32(os.fsencode(photo.name)) % count == index - 1]


def _matches(name: str, globs: Sequence[str]) -> bool:
    if not globs:
        return splitext(name)[1].lower() in PHOTO_SUFFIXES
    return any(fnmatch(name if "/" in glob else basename(name), glob) for glob in globs)


def _stem(entry: Entry) -> str:
    return splitext(entry.name)[0].lower()
