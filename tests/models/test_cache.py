"""Shelf: what is loaded before it is asked for, and what stands in where weights cannot be had."""

import pytest
from facejobs import ASTRONAUT, refusing

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo


def test_a_machine_without_a_network_starts_under_auto_with_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setattr("restore.models.download.Downloader.fetch", refusing)
    monkeypatch.setattr(
        "restore.models.download.Downloader.fetch_member",
        lambda self, wanted, url, member: refusing(self, wanted, url),
    )
    restorer = Restorer(weights="auto", weights_dir=tmp_path, device="cpu", preload="all")
    assert {task for task, _ in restorer.shelf.loaded} == {
        "face_restore",
        "upscale",
        "restore",
        "colorize",
        "inpaint",
        "old_photo_restore",
    }
    assert restorer.run("face_restore", [Photo("a", ASTRONAUT)]).reports[0].variant == "lite"
    old = restorer.run("old_photo_restore", [Photo("a", ASTRONAUT)]).reports[0]
    assert old.variant == "lite"
    assert any("stand in for the official ones" in warning for warning in old.warnings)


def test_a_preloaded_task_has_the_lite_networks_beside_it(tmp_path):
    restorer = Restorer(
        weights="lite", weights_dir=tmp_path, device="cpu", preload="old_photo_restore"
    )
    before = restorer.shelf.loaded
    assert before == {
        (task, "lite") for task in ("old_photo_restore", "inpaint", "restore", "face_restore")
    }
    restorer.run("old_photo_restore", [Photo("a", ASTRONAUT)], with_scratch=True)
    assert restorer.shelf.loaded == before


def test_official_weights_that_cannot_be_had_fail_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("restore.models.download.Downloader.fetch", refusing)
    with pytest.raises(RestoreError, match=r"codeformer\.pth") as caught:
        Restorer(weights="official", weights_dir=tmp_path, device="cpu", preload="all")
    assert caught.value.code is Code.WEIGHTS_UNREACHABLE
