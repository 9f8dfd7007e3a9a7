"""Fixtures of the download tests: a target, and a downloader that records its pauses."""

import random
from pathlib import Path

import pytest
from fileserver import sha256_of

from restore.models import download
from restore.models.download import Downloader
from restore.models.partial_download import DownloadTarget

BODY = random.Random(7).randbytes(50_000)


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
