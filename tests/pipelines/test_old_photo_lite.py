"""old_photo_restore on embedded weights: scratches found and filled, noise removed, faces restored."""

import cv2
import numpy as np
import pytest
from facefakes import ASTRONAUT
from oldphotofakes import WhiteIsScratched

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.pipelines.old_photo_lite import MASK_MARGIN_PX, MAX_LONG_SIDE_PX, find_scratches_lite

GREY = cv2.cvtColor(ASTRONAUT, cv2.COLOR_RGB2GRAY)


def cracked(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture with three white lines across, and where they are."""
    mask = np.zeros(pixels.shape[:2], np.uint8)
    for start, end in (((0, 40), (256, 70)), ((200, 0), (150, 256)), ((0, 230), (256, 180))):
        cv2.line(mask, start, end, 1, 2)
    damaged = pixels.copy()
    damaged[mask > 0] = 250
    return damaged, mask > 0


def test_scratches_are_found_and_filled_from_around_them(lite):
    damaged, true = cracked(GREY)
    results = lite.run(
        "old_photo_restore",
        [Photo("a", damaged)],
        with_scratch=True,
        with_face=False,
        return_mask=True,
    )
    report = results.reports[0]
    found = results.masks[0].pixels > 0
    assert found[true].mean() > 0.9
    assert found.mean() < 0.25
    assert report.scratched_share == pytest.approx(found.mean(), abs=1e-4)
    assert {row["file"] for row in report.weights} == {
        f"lite_{name}.safetensors" for name in ("scratches", "inpaint", "denoise", "faces")
    }
    errors = [
        np.abs(pixels.astype(int)[true] - GREY[true]).mean()
        for pixels in (damaged, results.photos[0].pixels)
    ]
    assert errors[1] < 0.25 * errors[0]


def test_without_with_scratch_none_is_looked_for(lite):
    damaged, true = cracked(GREY)
    results = lite.run("old_photo_restore", [Photo("a", damaged)], with_face=False)
    assert results.reports[0].scratched_share is None
    assert "scratches" not in results.reports[0].stages_ms
    assert (results.photos[0].pixels[true] > 200).mean() > 0.9


def test_faces_are_restored_where_asked(lite):
    noisy = np.clip(
        ASTRONAUT + np.random.default_rng(1).normal(0, 20, ASTRONAUT.shape), 0, 255
    ).astype(np.uint8)
    report = lite.run("old_photo_restore", [Photo("a", noisy)]).reports[0]
    assert report.face_restoration_applied
    assert report.face_detector == "dlib"
    assert not lite.run("old_photo_restore", [Photo("a", noisy)], with_face=False).reports[0].faces


def test_alpha_and_sixteen_bits_survive_and_strength_blends(lite):
    damaged, _ = cracked(GREY)
    alpha = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    options = {"with_scratch": True, "with_face": False}
    whole = lite.run("old_photo_restore", [Photo("a", damaged, alpha)], **options).photos[0]
    np.testing.assert_array_equal(whole.alpha, alpha)
    half = lite.run("old_photo_restore", [Photo("a", damaged)], strength=0.5, **options).photos[0]
    np.testing.assert_allclose(half.pixels, (whole.pixels.astype(float) + damaged) / 2, atol=1)
    deep = damaged.astype(np.uint16) * 257
    fine = lite.run("old_photo_restore", [Photo("a", deep)], **options).photos[0]
    assert fine.pixels.dtype == np.uint16
    np.testing.assert_allclose(fine.pixels / 257.0, whole.pixels, atol=4)
    assert len(np.unique(fine.pixels)) > 300


def test_one_single_scratch_is_an_error_about_the_mask(lite, monkeypatch):
    monkeypatch.setattr(
        "restore.pipelines.old_photo_lite.find_scratches_lite",
        lambda photo, net, threshold: np.ones((photo.height, photo.width), bool),
    )
    with pytest.raises(
        RestoreError, match=r"photo 'a': scratches cover the whole photo.*scratch_threshold"
    ) as caught:
        lite.run("old_photo_restore", [Photo("a", GREY)], with_scratch=True)
    assert caught.value.code is Code.MASK


def test_what_lite_weights_do_not_have_is_said(lite):
    report = lite.run(
        "old_photo_restore", [Photo("a", GREY[:64, :64])], with_scratch=True, old_photo_hr=True
    ).reports[0]
    assert any("old_photo_hr" in warning for warning in report.warnings)


def test_a_large_photo_is_looked_at_reduced_and_its_mask_comes_back_at_its_size():
    net = WhiteIsScratched()
    pixels = np.zeros((800, 2 * MAX_LONG_SIDE_PX), np.uint8)
    pixels[300:320] = 255
    found = find_scratches_lite(Photo("wide", pixels), net, 0.5)
    assert net.seen == [(400, MAX_LONG_SIDE_PX), (MAX_LONG_SIDE_PX, 400)] * 2
    assert found.shape == pixels.shape
    rows = np.flatnonzero(found.all(axis=1))
    assert (rows[0], rows[-1]) == (300 - 2 * MASK_MARGIN_PX, 319 + 2 * MASK_MARGIN_PX)
    assert not found[: rows[0]].any()


def test_the_threshold_decides(lite):
    damaged, _ = cracked(GREY)
    shares = [
        lite.run(
            "old_photo_restore",
            [Photo("a", damaged)],
            with_scratch=True,
            with_face=False,
            scratch_threshold=level,
        )
        .reports[0]
        .scratched_share
        for level in (0.05, 0.4, 0.95)
    ]
    assert shares[0] > shares[1] > shares[2] > 0.0


def test_nan_is_an_error_and_no_mask():
    net = WhiteIsScratched()
    net.level.fill_(float("nan"))
    with pytest.raises(RestoreError) as caught:
        find_scratches_lite(Photo("a", GREY), net, 0.4)
    assert caught.value.code is Code.BAD_NUMBERS


def test_lite_asked_for_by_name_needs_no_official_weights(tmp_path, monkeypatch):
    def refused(*args):
        raise AssertionError("nothing is to be fetched")

    monkeypatch.setattr("restore.models.download.Downloader.fetch", refused)
    monkeypatch.setattr("restore.models.download.Downloader.fetch_member", refused)
    restorer = Restorer(weights="official", weights_dir=tmp_path, device="cpu")
    report = restorer.run(
        "old_photo_restore", [Photo("a", GREY)], old_photo_variant="lite", with_face=False
    ).reports[0]
    assert (report.variant, report.warnings) == ("lite", [])
