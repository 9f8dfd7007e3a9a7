"""The tasks with faces, end to end with the embedded weights: what users get of every kind of photo."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from facejobs import ASTRONAUT, degraded, face_at, mse, one
from PIL import Image
from skimage import data

from restore import RestoreError
from restore.errors import Code
from restore.faces.align import estimate_similarity
from restore.faces.face import Face
from restore.imaging.photo import Photo
from restore.options import DEFAULT_TASK
from restore.pipelines import face_stage as module


def test_a_degraded_face_comes_nearer_to_the_clean_one_and_the_rest_is_untouched(lite):
    before = degraded(ASTRONAUT)
    results = lite.run("face_restore", [Photo("a", before)])
    after, report = results.photos[0].pixels, results.reports[0].to_dict()
    left, top, right, bottom = (int(side) for side in report["faces"][0]["box"])
    face = np.s_[top:bottom, left:right]
    assert mse(after[face], ASTRONAUT[face]) < 0.8 * mse(before[face], ASTRONAUT[face])
    np.testing.assert_array_equal(after[:, :8], before[:, :8])
    assert report["face_restoration_applied"] is True
    assert (report["variant"], report["face_detector"], report["warnings"]) == ("lite", "dlib", [])
    assert report["faces"][0]["restored"] is True
    assert 0 < report["faces"][0]["score"] <= 1
    assert report["faces"][0]["size_px"] > 40
    assert {"detect", "faces", "paste"} <= report["stages_ms"].keys()


def test_it_is_the_default_of_a_request_that_only_carries_photos():
    assert DEFAULT_TASK == "face_restore"


@pytest.mark.parametrize("scale", [1.0, 1.5, 4.0])
def test_a_photo_without_faces_is_resized_with_a_warning(lite, scale):
    pixels = data.chelsea()[:96, :128]
    results = lite.run("face_restore", [Photo("cat", pixels)], face_upscale=scale)
    report = results.reports[0]
    assert (results.photos[0].width, results.photos[0].height) == (
        int(128 * scale),
        int(96 * scale),
    )
    assert any("no face was found" in warning for warning in report.warnings)
    assert report.face_restoration_applied is False
    assert report.faces == []
    if scale == 1:
        np.testing.assert_array_equal(results.photos[0].pixels, pixels)


@pytest.mark.parametrize("place", [(0, 90), (159, 90), (80, 0), (80, 119), (0, 0), (159, 119)])
@pytest.mark.parametrize("scale", [1, 2.5])
def test_a_face_at_the_border_is_restored_as_far_as_it_is_there(face_net, place, scale):
    pixels = degraded(np.ascontiguousarray(ASTRONAUT[40:160, 40:200]))
    photo, report = one(face_net, pixels, face_at(*place, 40), face_upscale=scale)
    assert photo.pixels.shape == (int(120 * scale), int(160 * scale), 3)
    assert report.face_restoration_applied
    plain, _ = one(face_net, pixels, face_upscale=scale)
    assert (photo.pixels != plain.pixels).any()


def test_a_face_of_20_pixels_is_restored_unless_it_is_too_small_to_ask_for(face_net):
    small = cv2.resize(ASTRONAUT, (48, 48), interpolation=cv2.INTER_AREA)
    _, report = one(face_net, small, face_at(24, 22, 20))
    assert report.faces[0]["restored"] is True
    photo, report = one(face_net, small, face_at(24, 22, 20), min_face_px=24)
    assert report.faces[0] == {
        "box": [14.0, 12.0, 34.0, 32.0],
        "score": 0.99,
        "size_px": 20.0,
        "restored": False,
        "reason": "its 20 pixels are less than min_face_px 24",
    }
    assert any("none of 1 faces was restored" in warning for warning in report.warnings)
    np.testing.assert_array_equal(photo.pixels, small)
    _, report = one(face_net, small, face_at(24, 22, 4))
    assert "less than 5" in str(report.faces[0]["reason"])


def test_a_face_whose_landmarks_are_no_face_is_left_alone_with_the_reason(face_net):
    line = Face(
        (20, 20, 120, 120), 0.9, np.stack([np.linspace(20, 120, 5), np.linspace(20, 120, 5)], 1)
    )
    photo, report = one(face_net, ASTRONAUT, line, face_at(120, 110, 60))
    assert [face["restored"] for face in report.faces] == [False, True]
    assert "no transform" in str(report.faces[0]["reason"])
    assert (photo.pixels != ASTRONAUT).any()


def test_a_profile_and_a_tilted_face_are_turned_upright(face_net):
    for tilt in (-170, -45, 30, 90):
        photo, report = one(face_net, degraded(ASTRONAUT), face_at(128, 110, 60, tilt))
        assert report.face_restoration_applied
        assert np.isfinite(photo.pixels).all()
        assert estimate_similarity(face_at(128, 110, 60, tilt).landmarks) is not None
    squeezed = face_at(128, 110, 60)
    profile = dataclasses.replace(
        squeezed, landmarks=(squeezed.landmarks - (128, 110)) * (0.3, 1) + (128, 110)
    )
    assert one(face_net, ASTRONAUT, profile)[1].face_restoration_applied


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photo_that_exif_turns_has_its_faces_found_upright(lite, tmp_path, orientation):
    turned = {3: 2, 6: 1, 8: 3}[orientation]
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(np.rot90(ASTRONAUT, turned))).save(
        path, exif=exif, quality=95
    )
    results = lite.run("face_restore", [path])
    assert len(results.reports[0].faces) == 1
    assert results.photos[0].pixels.shape == ASTRONAUT.shape


def test_forty_faces_are_all_found_and_restored(lite):
    face = degraded(cv2.resize(ASTRONAUT, (160, 160), interpolation=cv2.INTER_AREA))
    sheet = np.tile(face, (5, 8, 1))
    report = lite.run("face_restore", [Photo("sheet", sheet)], runtime_profile="fast").reports[0]
    assert len(report.faces) == 40
    assert all(face["restored"] for face in report.faces)


def test_only_the_face_nearest_to_the_centre(face_net):
    faces = [face_at(40, 40, 30), face_at(120, 118, 30), face_at(220, 200, 30)]
    _, report = one(face_net, ASTRONAUT, *faces, only_center_face=True)
    assert [face["restored"] for face in report.faces] == [False, True, False]
    assert "nearer to the centre" in str(report.faces[0]["reason"])


@pytest.mark.parametrize("keep", [None, True, False])
def test_grey_stays_grey(face_net, keep):
    grey = cv2.cvtColor(degraded(ASTRONAUT), cv2.COLOR_RGB2GRAY)
    photo, _ = one(face_net, grey, face_at(128, 110, 60), keep_color=keep)
    assert photo.pixels.shape == grey.shape
    assert (photo.pixels != grey).any()
    as_colour, _ = one(
        face_net, np.repeat(grey[..., None], 3, 2), face_at(128, 110, 60), keep_color=keep
    )
    spread = as_colour.pixels.astype(int).max(axis=2) - as_colour.pixels.astype(int).min(axis=2)
    assert (spread.max() <= 1) if keep is not False else (spread.max() > 0)


def test_sepia_keeps_its_tone_unless_colour_is_asked_for(face_net, monkeypatch):
    grey = cv2.cvtColor(degraded(ASTRONAUT), cv2.COLOR_RGB2GRAY)[..., None].astype(float)
    sepia = np.rint(grey * (1.0, 0.88, 0.7)).astype(np.uint8)
    red = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
    monkeypatch.setattr(
        module, "restore_faces", lambda faces, model, fidelity: 0.5 * faces + 0.5 * red
    )
    tones = {}
    for keep in (None, True, False):
        pixels = (
            one(face_net, sepia, face_at(128, 110, 60), keep_color=keep)[0]
            .pixels[90:130, 110:150]
            .astype(float)
        )
        tones[keep] = pixels[..., 0].mean() - pixels[..., 2].mean()
    face = sepia[90:130, 110:150].astype(float)
    assert (
        tones[None]
        == tones[True]
        == pytest.approx(face[..., 0].mean() - face[..., 2].mean(), abs=6)
    )
    assert tones[False] > tones[None] + 40
    coloured = one(face_net, ASTRONAUT, face_at(128, 110, 60))[0].pixels
    assert coloured[90:130, 110:150, 0].mean() > ASTRONAUT[90:130, 110:150, 0].mean() + 20


def test_alpha_and_sixteen_bits_are_kept(face_net):
    alpha = np.tile(np.linspace(0, 255, 256).astype(np.uint8), (256, 1))
    photo, _ = one(face_net, degraded(ASTRONAUT), face_at(128, 110, 60), alpha=alpha)
    np.testing.assert_array_equal(photo.alpha, alpha)
    doubled, _ = one(
        face_net, degraded(ASTRONAUT), face_at(128, 110, 60), alpha=alpha, face_upscale=2
    )
    assert doubled.alpha.shape == (512, 512)
    deep = degraded(ASTRONAUT).astype(np.uint16) * 257
    photo, _ = one(face_net, deep, face_at(128, 110, 60))
    assert photo.pixels.dtype == np.uint16
    assert (
        len(np.unique(photo.pixels[90:130, 110:150] % 257)) > 50
    )  # more than 8 bits where the face is
    shallow, _ = one(face_net, degraded(ASTRONAUT), face_at(128, 110, 60))
    assert np.abs(photo.pixels / 257.0 - shallow.pixels).max() <= 1


def test_strength_blends_with_the_original(face_net):
    pixels = degraded(ASTRONAUT)
    full, none, half = (
        one(face_net, pixels, face_at(128, 110, 60), strength=s)[0].pixels.astype(float)
        for s in (1, 0, 0.5)
    )
    np.testing.assert_array_equal(none, pixels)
    assert np.abs(half - (full + none) / 2).max() <= 1


def test_a_face_finer_than_the_lite_network_keeps_its_detail(face_net):
    """The network's change is added: what is finer than its pixels stays; a face with too many pixels is left alone."""
    large = cv2.resize(ASTRONAUT, (1600, 1600), interpolation=cv2.INTER_LANCZOS4)
    texture = np.random.default_rng(5).integers(-12, 13, large.shape)
    large = np.clip(large.astype(int) + texture, 0, 255).astype(np.uint8)
    photo, report = one(face_net, large, face_at(800, 690, 150))
    assert report.face_restoration_applied
    inner = np.s_[640:740, 750:850]
    fine = [
        float(np.abs(cv2.Laplacian(p[inner].astype(np.float32), -1)).mean())
        for p in (large, photo.pixels)
    ]
    assert fine[1] > 0.85 * fine[0]
    photo, report = one(face_net, large, face_at(800, 690, 400))
    assert "finer than what could be added" in str(report.faces[0]["reason"])
    np.testing.assert_array_equal(photo.pixels, large)


def test_enhance_enlarges_and_restores_in_one_pass(lite):
    before = degraded(ASTRONAUT)
    enhanced = lite.run("enhance", [Photo("a", before)], scale=2)
    plain = lite.run("upscale", [Photo("a", before)], scale=2)
    asked = lite.run("upscale", [Photo("a", before)], scale=2, face_enhance=True)
    assert enhanced.photos[0].pixels.shape == (512, 512, 3)
    np.testing.assert_array_equal(enhanced.photos[0].pixels, asked.photos[0].pixels)
    changed = (enhanced.photos[0].pixels != plain.photos[0].pixels).any(axis=2)
    left, top, right, bottom = (2 * int(side) for side in enhanced.reports[0].faces[0]["box"])
    assert changed[top:bottom, left:right].mean() > 0.5
    assert not changed[:16].any()
    files = [facts["file"] for facts in enhanced.reports[0].weights]
    assert files == ["lite_upscale_x2.safetensors", "lite_faces.safetensors"]
    assert enhanced.reports[0].tiles
    assert plain.reports[0].faces == []


def test_the_background_is_enhanced_where_asked(lite):
    pixels = degraded(ASTRONAUT)
    plain = lite.run("face_restore", [Photo("a", pixels)], face_upscale=2).photos[0].pixels
    both = lite.run("face_restore", [Photo("a", pixels)], face_upscale=2, background_enhance=True)
    assert both.photos[0].pixels.shape == plain.shape
    assert (both.photos[0].pixels[:16] != plain[:16]).any()
    assert both.reports[0].tiles


@pytest.mark.parametrize("task", ["face_restore", "enhance"])
def test_a_result_that_would_be_too_large_is_refused_before_any_work(lite, monkeypatch, task):
    monkeypatch.setattr(module, "aligned_faces", None)
    named = {"face_restore": "face_upscale", "enhance": "scale"}[task]
    with pytest.raises(RestoreError, match=f"Use a {named} of at most 2.23") as caught:
        lite.run(task, [Photo("big.png", np.zeros((4000, 5000), np.uint8))], **{named: 4})
    assert caught.value.code is Code.OUTPUT_TOO_LARGE


def test_the_nearest_face_that_can_be_restored_is_the_centre_face(face_net):
    line = Face(
        (100, 100, 150, 150),
        0.99,
        np.stack([np.linspace(100, 150, 5), np.linspace(100, 150, 5)], 1),
    )
    _, report = one(
        face_net, ASTRONAUT, line, face_at(60, 60, 40), face_at(5, 5, 40), only_center_face=True
    )
    assert [face["restored"] for face in report.faces] == [False, True, False]


def test_a_face_outside_of_the_photo_and_one_that_is_no_number_are_not_restored(face_net):
    nowhere = face_at(900, 900, 40)
    broken = Face((np.nan, 0, 10, 10), 0.9, face_at(100, 100, 30).landmarks)
    photo, report = one(face_net, ASTRONAUT, nowhere, broken)
    assert [face["reason"] for face in report.faces] == ["it lies outside of the photo"]
    assert report.face_restoration_applied is False
    np.testing.assert_array_equal(photo.pixels, ASTRONAUT)


def test_alpha_of_an_enlarged_photo_is_the_photos_own(face_net):
    alpha = np.zeros((256, 256), np.uint8)
    alpha[64:192, 64:192] = 200
    photo, _ = one(face_net, ASTRONAUT, face_at(128, 110, 60), alpha=alpha, face_upscale=2)
    assert photo.alpha[256, 256] == 200
    assert photo.alpha[20, 20] == 0
