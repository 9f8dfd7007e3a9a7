"""Pack training photos into one small archive, for a training on another machine.

An archive holds the folders of the given recipes under their names. Held-back photos are chosen by
file name and by position in name order, so that all photos are packed with their names, and a
training from the archive holds back the same ones.
"""

from __future__ import annotations

import io
import logging
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from training.paths import list_photos
from training.recipe import Recipe

DAMAGE_FOLDER = "damage"
JPEG_QUALITIES = (95, 90, 85, 80)  # tried in turn until the archive is small enough
FILE_MODE = 0o644
MEGABYTE = 1_000_000
log = logging.getLogger("training")


def pack_photos(archive: Path, photos: Path, recipes: Iterable[Recipe], max_bytes: int) -> None:
    """Write the photos and damage maps of recipes into a tar archive.

    Photos keep their bytes if the archive is then small enough. Otherwise they become JPEG of the
    highest quality with which it is, under the same names. Damage maps always keep their bytes.

    Args:
        archive: the file to write.
        photos: folder with natural/, faces/ and damage/ as far as the recipes need them.
        recipes: whose photos are packed.
        max_bytes: limit of the size of the archive.

    Raises:
        SystemExit: a folder is missing that is not optional, or the archive is too large even with
            the lowest quality.
    """
    files = _read_files(photos, _folders_of(recipes, photos))
    for quality in (None, *JPEG_QUALITIES):
        content = _write_archive(files if quality is None else _compress(files, quality))
        if len(content) <= max_bytes:
            break
    else:
        raise SystemExit(
            f"{len(files)} photos need {len(content) / MEGABYTE:.1f} MB as JPEG of quality "
            f"{JPEG_QUALITIES[-1]}: name fewer recipes, or allow more with --megabytes"
        )
    archive.write_bytes(content)
    encoding = "as they are" if quality is None else f"as JPEG of quality {quality}"
    log.info("%s: %d files %s, %.1f MB", archive, len(files), encoding, len(content) / MEGABYTE)


@contextmanager
def unpacked(photos: Path) -> Iterator[Path]:
    """Yield the folder of training photos, which is temporary if `photos` is an archive.

    Args:
        photos: a folder, or an archive of `pack_photos`.
    """
    if not photos.is_file():
        yield photos
        return
    with tempfile.TemporaryDirectory() as folder, tarfile.open(photos) as archive:
        archive.extractall(folder, filter="data")
        yield Path(folder)


def _folders_of(recipes: Iterable[Recipe], photos: Path) -> list[str]:
    """Return the names of the folders that recipes need or may use, in name order."""
    names = set[str]()
    for recipe in recipes:
        names |= {folder.name for folder in recipe.present_folders(photos)}
        names |= {DAMAGE_FOLDER} if recipe.uses_damage_maps else set()
    return sorted(names)


def _read_files(photos: Path, folders: Iterable[str]) -> dict[str, bytes]:
    """Read all photos of folders, by their path in the archive."""
    files = {}
    for name in folders:
        if not (photos / name).is_dir():
            raise SystemExit(f"{photos} has no folder {name}/, which these recipes need")
        for file in list_photos(photos / name):
            files[f"{name}/{file.name}"] = file.read_bytes()
    return files


def _compress(files: Mapping[str, bytes], quality: int) -> dict[str, bytes]:
    """Compress each photo if this makes it smaller."""
    compressed = {}
    for name, content in files.items():
        if name.startswith(f"{DAMAGE_FOLDER}/"):
            compressed[name] = content
            continue
        encoded = io.BytesIO()
        photo = Image.open(io.BytesIO(content)).convert("RGB")
        photo.save(encoded, "JPEG", quality=quality, optimize=True, progressive=True)
        compressed[name] = min(content, encoded.getvalue(), key=len)
    return compressed


def _write_archive(files: Mapping[str, bytes]) -> bytes:
    """Return a tar archive without owners and times: the same files give the same bytes."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), FILE_MODE
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()
