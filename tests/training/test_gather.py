"""The list of extra training photos, and how it is downloaded."""

import dataclasses
import hashlib
import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from photofiles import adobe_profile
from PIL import Image

from restore.models.host_status import UnreachableHostError
from restore.models.partial_download import DownloadTarget, UnusableSourceError
from training.gather import EXTRA_PHOTOS, ExtraPhoto, gather, read_list, reduce_to_jpeg

LICENCES = re.compile(
    r"(CC0-1\.0|CC-BY(-\d\.\d)?|public domain|no known copyright restrictions"
    r"|(Unsplash|Pexels|Pixabay)( licence)?|Pixabay / Pexels licence|Unsplash or Pexels licence)\b"
)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """Decode an RGB image without a colour profile."""
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "RGB"
        assert "icc_profile" not in image.info
        return np.asarray(image).astype(int)


ORIGINAL = encoded(Image.new("RGB", (1280, 800), (200, 40, 40)))


def extra_photo(name: str, data: bytes = ORIGINAL) -> ExtraPhoto:
    digest = hashlib.sha256(data).hexdigest()
    path = f"a b/{name}.png"
    return ExtraPhoto(name, "owner/name", "c" * 40, path, digest, "CC0-1.0", "", "", "street")


def serve(data: bytes = ORIGINAL) -> tuple[Callable[[DownloadTarget, str], None], list[str]]:
    """A server of one file that checks it as a Downloader does, and the addresses asked for."""
    urls = []

    def fetch(target: DownloadTarget, url: str) -> None:
        urls.append(url)
        if reason := target.mismatch(hashlib.sha256(data).hexdigest(), len(data)):
            raise UnusableSourceError(reason)
        target.path.write_bytes(data)

    return fetch, urls


LISTS = sorted(EXTRA_PHOTOS.parent.glob("extra_photos*.jsonl"))


@pytest.mark.parametrize("file", LISTS, ids=lambda file: file.name)
def test_every_photo_of_the_list_can_be_found_and_has_a_free_licence(file: Path) -> None:
    photos = read_list(file)
    names = [photo.name for photo in photos]
    assert len(photos) >= 300
    assert names == sorted(set(names))
    assert len({photo.sha256 for photo in photos}) == len(photos)
    for photo in photos:
        assert re.fullmatch(r"[0-9a-f]{40}", photo.commit), photo
        assert re.fullmatch(r"[0-9a-f]{64}", photo.sha256), photo
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", photo.repository), photo
        assert LICENCES.match(photo.licence), photo
        assert not re.search(r"-(SA|NC|ND)\b", photo.licence), photo
        assert photo.name == f"{photo.tag}_{photo.sha256[:10]}.jpg"


def test_photos_are_downloaded_once_and_reduced(tmp_path: Path) -> None:
    fetch, urls = serve()
    photos = [extra_photo("a.jpg"), extra_photo("b.jpg")]
    assert gather(photos[:1], tmp_path / "extra", fetch) == []
    assert gather(photos, tmp_path / "extra", fetch) == []
    assert urls == [
        f"https://raw.githubusercontent.com/owner/name/{'c' * 40}/a%20b/{name}.jpg.png"
        for name in "ab"
    ]
    assert sorted(path.name for path in (tmp_path / "extra").iterdir()) == ["a.jpg", "b.jpg"]
    assert decoded((tmp_path / "extra" / "b.jpg").read_bytes()).shape == (400, 640, 3)


def test_changed_photos_are_skipped_with_a_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fetch, _ = serve()
    changed = dataclasses.replace(extra_photo("a.jpg"), sha256="0" * 64)
    assert gather([changed, extra_photo("b.jpg")], tmp_path, fetch) == ["a.jpg"]
    assert "skipped a.jpg" in caplog.text
    assert f"expected {'0' * 64}" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["b.jpg"]


def test_unreachable_host_ends_the_download(tmp_path: Path) -> None:
    def fetch(target: DownloadTarget, url: str) -> None:
        del target, url
        raise UnreachableHostError("no route")

    with pytest.raises(SystemExit, match=r"cannot be reached: no route"):
        gather([extra_photo("a.jpg")], tmp_path, fetch)


def test_photos_become_upright_and_srgb() -> None:
    image = Image.new("RGB", (30, 20), (255, 0, 0))
    image.paste((0, 90, 0), (0, 0, 15, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    plain = decoded(reduce_to_jpeg(encoded(image, exif=exif)))
    assert plain.shape == (30, 20, 3)
    assert plain[5, 10, 1] > 80  # the left half is on top
    wide = decoded(reduce_to_jpeg(encoded(image, icc_profile=adobe_profile())))
    assert wide[5, 5, 0] < 6  # pure green of Adobe RGB has no red in sRGB
    assert abs(wide[5, 5, 1] - plain[5, 10, 1]) < 12
    assert decoded(reduce_to_jpeg(encoded(image.convert("LA")))).shape == (20, 30, 3)
