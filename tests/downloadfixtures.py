"""Fixtures of the download tests: a target, a downloader with its pauses, a full disk, hashes."""

import random
import shutil
from pathlib import Path

import pytest
from fileserver import sha256_of

from restore.models import download
from restore.models import store as store_module
from restore.models.download import Downloader
from restore.models.partial_download import DownloadTarget

BODY = random.Random(7).randbytes(50_000)


def set_free_bytes(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Make every disk report this number of free bytes."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def downloader(pauses: list[float], monkeypatch: pytest.MonkeyPatch) -> Downloader:
    monkeypatch.setattr(download, "CHUNK_BYTES", 1000)
    return Downloader(pause=pauses.append)


@pytest.fixture
def target(tmp_path: Path) -> DownloadTarget:
    return DownloadTarget(tmp_path / "net.pth", len(BODY), sha256_of(BODY))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that the store hashes."""
    names: list[str] = []
    original = store_module.file_sha256

    def record(path: Path) -> str:
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(store_module, "file_sha256", record)
    return names
