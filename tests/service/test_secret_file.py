"""Tests of the secrets in the data folder."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from restore.errors import RestoreError
from restore.service.secret_file import secret


def test_secret_is_created_once_and_private(tmp_path: Path) -> None:
    first = secret(tmp_path, "urls")
    assert len(first) == 32
    assert secret(tmp_path, "urls") == first != secret(tmp_path, "webhook")
    assert (tmp_path / "secrets" / "urls").stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in (tmp_path / "secrets").iterdir()) == ["urls", "webhook"]


def test_concurrent_starts_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: secret(tmp_path, "urls"), range(32)))
    assert len(found) == 1
    assert len(list((tmp_path / "secrets").iterdir())) == 1


def test_damaged_secret_is_reported(tmp_path: Path) -> None:
    secret(tmp_path, "urls")
    (tmp_path / "secrets" / "urls").write_bytes(b"short")
    with pytest.raises(RestoreError, match="5 bytes instead of 32"):
        secret(tmp_path, "urls")


def test_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file")
    with pytest.raises(RestoreError, match="cannot be used"):
        secret(tmp_path, "urls")
