"""The task face_restore with the embedded weights, and with the embedded network alone."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
import torch
from facefakes import ASTRONAUT, degrade, face_at, mean_squared_error, restore_one
from PIL import Image
from skimage import data

from restore import Inputs, RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.options import DEFAULT_TASK

FACE = face_at(128, 110, 60)
FACE_CENTER = np.s_[90:130, 110:150]


def test_restored_face_is_nearer_to_the_clean_photo_and_the_rest_is_unchanged(
    lite: Restorer,
) -> None:
    before = degrade(ASTRONAUT)
    results = lite.run("face_restore", [Photo("a", before)])
    after, report = results.photos[0].pixels, results.reports[0]
    box = report.faces[0]["box"]
    assert isinstance(box, list)
    left, top, right, bottom = (int(side) for side in box)
    face = np.s_[top:bottom, left:right]
    error_before = mean_squared_error(before[face], ASTRONAUT[face])
    assert mean_squared_error(after[face], ASTRONAUT[face]) < 0.8 * error_before
    np.testing.assert_array_equal(after[:, :8], before[:, :8])
    assert report.face_restoration_applied is True
    assert (report.variant, report.face_detector) == ("lite", "centerface")
    assert report.warnings == []
    description = report.faces[0]
    assert description["restored"] is True
    assert 0 < float(str(description["score"])) <= 1
    assert float(str(description["size_px"])) > 40
    assert {"detect", "faces", "paste"} <= report.stages_ms.keys()


def test_face_restore_is_the_default_task() -> None:
    assert DEFAULT_TASK == "face_restore"


@pytest.mark.parametrize("scale", [1.0, 1.5, 4.0])
def test_photo_without_faces_is_resized_with_a_warning(lite: Restorer, scale: float) -> None:
    pixels = data.chelsea()[:96, :128]
    results = lite.run("face_restore", [Photo("cat", pixels)], face_upscale=scale)
    photo, report = results.photos[0], results.reports[0]
    assert (photo.width, photo.height) == (int(128 * scale), int(96 * scale))
    assert any("no face was found" in warning for warning in report.warnings)
    assert report.face_restoration_applied is False
    assert report.faces == []
    if scale == 1:
        np.testing.assert_array_equal(photo.pixels, pixels)


@pytest.mark.parametrize("place", [(0, 90), (159, 90), (80, 0), (80, 119), (0, 0), (159, 119)])
@pytest.mark.parametrize("scale", [1, 2.5])
def test_face_at_the_border_is_restored(
    face_net: Model, place: tuple[int, int], scale: float
) -> None:
    pixels = degrade(np.ascontiguousarray(ASTRONAUT[40:160, 40:200]))
    photo, report = restore_one(face_net, pixels, face_at(*place, 40), face_upscale=scale)
    assert photo.pixels.shape == (int(120 * scale), int(160 * scale), 3)
    assert report.face_restoration_applied
    resized, _ = restore_one(face_net, pixels, face_upscale=scale)
    assert (photo.pixels != resized.pixels).any()


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_faces_are_found_after_exif_orientation(
    lite: Restorer, tmp_path: Path, orientation: int
) -> None:
    quarter_turns = {3: 2, 6: 1, 8: 3}[orientation]
    path, exif = tmp_path / "turned.jpg", Image.Exif()
    exif[0x0112] = orientation
    turned = np.ascontiguousarray(np.rot90(ASTRONAUT, quarter_turns))
    Image.fromarray(turned).save(path, exif=exif, quality=95)
    results = lite.run("face_restore", [path])
    assert len(results.reports[0].faces) == 1
    assert results.photos[0].pixels.shape == ASTRONAUT.shape


@pytest.mark.slow
def test_forty_faces_are_found_and_restored(lite: Restorer) -> None:
    face = degrade(cv2.resize(ASTRONAUT, (160, 160), interpolation=cv2.INTER_AREA))
    sheet = np.tile(face, (5, 8, 1))
    report = lite.run("face_restore", [Photo("sheet", sheet)], runtime_profile="fast").reports[0]
    assert len(report.faces) == 40
    assert all(face["restored"] for face in report.faces)


@pytest.mark.parametrize("keep_color", [None, True, False])
def test_grey_photo_stays_grey(face_net: Model, keep_color: bool | None) -> None:
    grey = cv2.cvtColor(degrade(ASTRONAUT), cv2.COLOR_RGB2GRAY)
    photo, _ = restore_one(face_net, grey, FACE, keep_color=keep_color)
    assert photo.pixels.shape == grey.shape
    assert (photo.pixels != grey).any()
    as_rgb = np.repeat(grey[..., None], 3, 2)
    rgb = restore_one(face_net, as_rgb, FACE, keep_color=keep_color)[0].pixels.astype(int)
    spread = rgb.max(axis=2) - rgb.min(axis=2)
    assert (spread.max() <= 1) if keep_color is not False else (spread.max() > 0)


def test_sepia_photo_keeps_its_tone_unless_keep_color_is_false(
    face_net: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = cv2.cvtColor(degrade(ASTRONAUT), cv2.COLOR_RGB2GRAY)[..., None].astype(float)
    sepia = np.rint(grey * (1.0, 0.88, 0.7)).astype(np.uint8)
    red = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]
    monkeypatch.setattr(
        "restore.pipelines.face_batches.restore_faces",
        lambda faces, model, fidelity: 0.5 * faces + 0.5 * red,
    )
    redness = {}
    for keep_color in (None, True, False):
        photo, _ = restore_one(face_net, sepia, FACE, keep_color=keep_color)
        face = photo.pixels[FACE_CENTER].astype(float)
        redness[keep_color] = face[..., 0].mean() - face[..., 2].mean()
    face = sepia[FACE_CENTER].astype(float)
    expected = pytest.approx(face[..., 0].mean() - face[..., 2].mean(), abs=6)
    assert redness[None] == redness[True] == expected
    assert redness[False] > redness[None] + 40
    colour_photo = restore_one(face_net, ASTRONAUT, FACE)[0].pixels
    assert colour_photo[FACE_CENTER][..., 0].mean() > ASTRONAUT[FACE_CENTER][..., 0].mean() + 20


def test_alpha_is_kept_and_resized_with_the_photo(face_net: Model) -> None:
    alpha = np.tile(np.linspace(0, 255, 256).astype(np.uint8), (256, 1))
    photo, _ = restore_one(face_net, degrade(ASTRONAUT), FACE, alpha=alpha)
    np.testing.assert_array_equal(photo.alpha, alpha)
    square = np.zeros((256, 256), np.uint8)
    square[64:192, 64:192] = 200
    doubled, _ = restore_one(face_net, ASTRONAUT, FACE, alpha=square, face_upscale=2)
    assert doubled.alpha is not None
    assert doubled.alpha.shape == (512, 512)
    assert doubled.alpha[256, 256] == 200
    assert doubled.alpha[20, 20] == 0


def test_16_bits_are_kept(face_net: Model) -> None:
    deep, _ = restore_one(face_net, degrade(ASTRONAUT).astype(np.uint16) * 257, FACE)
    assert deep.pixels.dtype == np.uint16
    # The restored face has levels between those of 8 bits.
    assert len(np.unique(deep.pixels[FACE_CENTER] % 257)) > 50
    shallow, _ = restore_one(face_net, degrade(ASTRONAUT), FACE)
    assert np.abs(deep.pixels / 257.0 - shallow.pixels).max() <= 1


def test_strength_blends_with_the_original(face_net: Model) -> None:
    pixels = degrade(ASTRONAUT)
    full, none, half = (
        restore_one(face_net, pixels, FACE, strength=strength)[0].pixels.astype(float)
        for strength in (1, 0, 0.5)
    )
    np.testing.assert_array_equal(none, pixels)
    assert np.abs(half - (full + none) / 2).max() <= 1


def test_large_face_keeps_its_fine_detail(face_net: Model) -> None:
    """The difference of the lite network is added; a face too large for it is not restored."""
    large = cv2.resize(ASTRONAUT, (1600, 1600), interpolation=cv2.INTER_LANCZOS4)
    texture = np.random.default_rng(5).integers(-12, 13, large.shape)
    large = np.clip(large.astype(int) + texture, 0, 255).astype(np.uint8)
    photo, report = restore_one(face_net, large, face_at(800, 690, 150))
    assert report.face_restoration_applied
    before, after = (
        float(np.abs(cv2.Laplacian(pixels[640:740, 750:850].astype(np.float32), -1)).mean())
        for pixels in (large, photo.pixels)
    )
    assert after > 0.85 * before
    photo, report = restore_one(face_net, large, face_at(800, 690, 400))
    assert "finer detail than the network can add" in str(report.faces[0]["reason"])
    np.testing.assert_array_equal(photo.pixels, large)
    _, report = restore_one(face_net, large, face_at(800, 690, 400, tilt_deg=120))
    assert "finer detail than the network can add" in str(report.faces[0]["reason"])


def test_background_is_enhanced_if_requested(lite: Restorer) -> None:
    photo = Photo("a", degrade(ASTRONAUT))
    resized = lite.run("face_restore", [photo], face_upscale=2).photos[0].pixels
    enhanced = lite.run("face_restore", [photo], face_upscale=2, background_enhance=True)
    assert enhanced.photos[0].pixels.shape == resized.shape
    assert (enhanced.photos[0].pixels[:16] != resized[:16]).any()
    assert enhanced.reports[0].tiles


@pytest.mark.parametrize(
    ("task", "option"), [("face_restore", "face_upscale"), ("enhance", "scale")]
)
def test_too_large_result_is_refused_before_any_work(
    lite: Restorer, monkeypatch: pytest.MonkeyPatch, task: str, option: str
) -> None:
    monkeypatch.setattr("restore.pipelines.face_stage.find_aligned_faces", None)
    photo = Photo("big.png", np.zeros((4000, 5000), np.uint8))
    with pytest.raises(RestoreError, match=f"Use a {option} of at most 2.23") as caught:
        lite.run(task, [photo], masks=(), **cast(Inputs, {option: 4}))
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
