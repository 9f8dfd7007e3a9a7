"""The task old_photo_restore with the embedded weights."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from facefakes import ASTRONAUT
from torch import nn

from restore import Restorer
from restore.imaging.photo import Photo

TASK = "old_photo_restore"
GREY = cv2.cvtColor(ASTRONAUT, cv2.COLOR_RGB2GRAY)
SCRATCHES_ONLY: dict[str, Any] = {"with_scratch": True, "with_face": False}


def draw_scratches(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the photo with three white lines across, and their mask."""
    mask = np.zeros(pixels.shape[:2], np.uint8)
    for start, end in (((0, 40), (256, 70)), ((200, 0), (150, 256)), ((0, 230), (256, 180))):
        cv2.line(mask, start, end, 1, 2)
    damaged = pixels.copy()
    damaged[mask > 0] = 250
    return damaged, mask > 0


def test_scratches_are_found_and_filled(lite: Restorer) -> None:
    damaged, scratches = draw_scratches(GREY)
    results = lite.run(TASK, [Photo("a", damaged)], return_mask=True, **SCRATCHES_ONLY)
    report, found = results.reports[0], results.masks[0].pixels > 0
    assert found[scratches].mean() > 0.9
    assert found.mean() < 0.25
    assert report.scratched_share == pytest.approx(found.mean(), abs=1e-4)
    assert {row["file"] for row in report.weights} == {
        f"lite_{name}.safetensors" for name in ("scratches", "inpaint", "denoise", "faces")
    }
    error_before, error_after = (
        np.abs(pixels.astype(int)[scratches] - GREY[scratches]).mean()
        for pixels in (damaged, results.photos[0].pixels)
    )
    assert error_after < 0.25 * error_before


def test_without_with_scratch_none_are_detected(lite: Restorer) -> None:
    damaged, scratches = draw_scratches(GREY)
    results = lite.run(TASK, [Photo("a", damaged)], with_scratch=False, with_face=False)
    assert results.reports[0].scratched_share is None
    assert "scratches" not in results.reports[0].stages_ms
    assert (results.photos[0].pixels[scratches] > 200).mean() > 0.9


def test_faces_are_restored_unless_with_face_is_false(lite: Restorer) -> None:
    noise = np.random.default_rng(1).normal(0, 20, ASTRONAUT.shape)
    photo = Photo("a", np.clip(ASTRONAUT + noise, 0, 255).astype(np.uint8))
    report = lite.run(TASK, [photo]).reports[0]
    assert report.face_restoration_applied
    assert report.face_detector == "centerface"
    assert not lite.run(TASK, [photo], with_face=False).reports[0].faces


def test_alpha_is_kept_and_strength_blends(lite: Restorer) -> None:
    damaged, _ = draw_scratches(GREY)
    # Nearly opaque, because the colours of transparent pixels are replaced.
    alpha = np.tile(200 + np.arange(256, dtype=np.uint8) % 50, (256, 1))
    full = lite.run(TASK, [Photo("a", damaged, alpha)], **SCRATCHES_ONLY).photos[0]
    np.testing.assert_array_equal(full.alpha, alpha)
    half = lite.run(TASK, [Photo("a", damaged)], strength=0.5, **SCRATCHES_ONLY).photos[0]
    np.testing.assert_allclose(half.pixels, (full.pixels.astype(float) + damaged) / 2, atol=1)


def test_scratches_of_transparent_parts_are_not_filled(
    lite: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(photo: Photo, net: nn.Module, threshold: float) -> np.ndarray:
        mask = np.zeros((photo.height, photo.width), bool)
        mask[100:103] = True
        return mask

    monkeypatch.setattr("restore.pipelines.old_photo_lite.find_scratches_lite", find)
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[:, 60:] = 0
    results = lite.run(TASK, [Photo("a", GREY, alpha)], return_mask=True, **SCRATCHES_ONLY)
    found = results.masks[0].pixels > 0
    assert found[100:103, :60].all()
    assert not found[:, 60:].any()
    # Most of what was detected is hidden, which is no fault of the photo.
    assert not results.reports[0].warnings


def test_16_bits_are_kept(lite: Restorer) -> None:
    damaged, _ = draw_scratches(GREY)
    shallow, deep = (
        lite.run(TASK, [Photo("a", pixels)], **SCRATCHES_ONLY).photos[0].pixels
        for pixels in (damaged, damaged.astype(np.uint16) * 257)
    )
    assert deep.dtype == np.uint16
    np.testing.assert_allclose(deep / 257.0, shallow, atol=4)
    assert len(np.unique(deep)) > 300


@pytest.mark.parametrize(("share", "is_filled"), [(0.2, True), (0.3, False), (1.0, False)])
def test_scratches_over_more_than_a_quarter_of_the_photo_are_not_filled(
    lite: Restorer, monkeypatch: pytest.MonkeyPatch, share: float, is_filled: bool
) -> None:
    def find(photo: Photo, net: nn.Module, threshold: float) -> np.ndarray:
        mask = np.zeros((photo.height, photo.width), bool)
        mask[: round(share * photo.height)] = True
        return mask

    monkeypatch.setattr("restore.pipelines.old_photo_lite.find_scratches_lite", find)
    unfilled = lite.run(TASK, [Photo("a", GREY)], with_scratch=False, with_face=False)
    results = lite.run(TASK, [Photo("a", GREY)], **SCRATCHES_ONLY)
    report = results.reports[0]
    same = np.array_equal(results.photos[0].pixels, unfilled.photos[0].pixels)
    assert same is not is_filled
    assert report.status == ("done" if is_filled else "reduced")
    warnings = [warning for warning in report.warnings if "more than 25%" in warning]
    assert len(warnings) == (0 if is_filled else 1)
    assert report.scratched_share == pytest.approx(share, abs=0.01)


def test_old_photo_hr_without_effect_gives_a_warning(lite: Restorer) -> None:
    photo = Photo("a", GREY[:64, :64])
    report = lite.run(TASK, [photo], with_scratch=True, old_photo_hr=True).reports[0]
    assert any("old_photo_hr" in warning for warning in report.warnings)


def test_lower_threshold_finds_more(lite: Restorer) -> None:
    photo = Photo("a", draw_scratches(GREY)[0])
    shares = []
    for threshold in (0.05, 0.4, 0.95):
        options = {"scratch_threshold": threshold, **SCRATCHES_ONLY}
        share = lite.run(TASK, [photo], **options).reports[0].scratched_share
        assert share is not None
        shares.append(share)
    assert shares[0] > shares[1] > shares[2] > 0.0


def test_the_variant_lite_needs_no_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise AssertionError("nothing must be downloaded")

    monkeypatch.setattr("restore.models.download.Downloader.fetch", fail)
    monkeypatch.setattr("restore.models.download.Downloader.fetch_member", fail)
    restorer = Restorer(weights="official", weights_dir=tmp_path, device="cpu")
    report = restorer.run(
        TASK, [Photo("a", GREY)], old_photo_variant="lite", with_face=False
    ).reports[0]
    assert (report.variant, report.warnings) == ("lite", [])
