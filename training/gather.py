"""Gather the photos of `extra_photos.jsonl` or another list from the repositories that hold them.

The photos have free licences, but are not part of this project. Each line of a list names the
repository, the commit, the path and the checksum of a photo, its licence, and what it shows.
"""

from __future__ import annotations

import dataclasses
import io
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from PIL import Image, ImageCms, ImageOps

from restore.models.download import Downloader
from restore.models.host_status import UnreachableHostError
from restore.models.partial_download import DownloadTarget, UnusableSourceError
from training.paths import PROJECT

EXTRA_PHOTOS = PROJECT / "training" / "extra_photos.jsonl"
HOST = "https://raw.githubusercontent.com"
LONG_SIDE_PX = 640
JPEG_QUALITY = 92

Fetch = Callable[[DownloadTarget, str], object]
"""Downloads the file at an address to a target and checks it, as `Downloader.fetch` does."""

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ExtraPhoto:
    """A photo of the list.

    Attributes:
        name: of the JPEG file that is written.
        repository: owner/name on GitHub.
        commit: hash of a commit that has the photo.
        path: of the photo inside the repository.
        sha256: checksum of the photo there.
        licence: licence, and where the repository states it.
        author: photographer; empty if the repository does not name one.
        source: address of the photo's page or original; empty if unknown.
        tag: what the photo shows.
    """

    name: str
    repository: str
    commit: str
    path: str
    sha256: str
    licence: str
    author: str
    source: str
    tag: str

    @property
    def url(self) -> str:
        """Return the address of the photo."""
        return f"{HOST}/{self.repository}/{self.commit}/{quote(self.path)}"


def read_list(file: Path) -> list[ExtraPhoto]:
    """Read a list of photos, in name order."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [ExtraPhoto(**json.loads(line)) for line in lines]


def gather(photos: Sequence[ExtraPhoto], folder: Path, fetch: Fetch | None = None) -> list[str]:
    """Download photos and reduce them; those that are there already are not downloaded again.

    Args:
        photos: photos of the list.
        folder: where the JPEG files are written; created if missing.
        fetch: downloads one file; default: with a Downloader.

    Returns:
        The names of the photos that could not be had; a warning says why.

    Raises:
        SystemExit: the host cannot be reached.
        RestoreError: WEIGHTS_NO_SPACE.
    """
    fetch = fetch or Downloader().fetch
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for photo in photos:
        if (folder / photo.name).exists():
            continue
        try:
            _gather_photo(photo, folder, fetch)
        except UnreachableHostError as error:
            raise SystemExit(f"{HOST} cannot be reached: {error}") from error
        except UnusableSourceError as error:
            log.warning("skipped %s from %s: %s", photo.name, photo.url, error)
            missing.append(photo.name)
    log.info("%d of %d photos are in %s", len(photos) - len(missing), len(photos), folder)
    return missing


def _gather_photo(photo: ExtraPhoto, folder: Path, fetch: Fetch) -> None:
    """Download one photo, and write it reduced."""
    original = folder / f"{photo.name}.original"
    fetch(DownloadTarget(original, sha256=photo.sha256), photo.url)
    part = folder / f"{photo.name}.part"
    part.write_bytes(reduce_to_jpeg(original.read_bytes()))
    part.replace(folder / photo.name)
    original.unlink()


def reduce_to_jpeg(data: bytes) -> bytes:
    """Turn an image file into an upright sRGB JPEG of at most LONG_SIDE_PX."""
    with Image.open(io.BytesIO(data)) as opened:
        image = ImageOps.exif_transpose(opened)
    image = _in_srgb(image)
    image.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _in_srgb(image: Image.Image) -> Image.Image:
    """Convert an image to RGB, in sRGB if it has a colour profile."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in {"RGB", "CMYK"}:
        return image.convert("RGB")
    space = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    converted = ImageCms.profileToProfile(
        image, space, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    assert converted is not None
    converted.info.pop("icc_profile", None)
    return converted
