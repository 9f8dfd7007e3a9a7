"""face_restore with has_aligned: photos that are one aligned face each."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from facefakes import (
    ASTRONAUT,
    FixedDetector,
    RecordingNetwork,
    contexts_of,
    count_batches,
    degrade,
    mean_squared_error,
    official_model,
    refuse_download,
)

from restore import Restorer
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.options import FaceRestoreOptions
from restore.pipelines import face_batches
from restore.pipelines.face_restore import run_face_restore


@pytest.mark.parametrize(("side", "scale"), [(256, 1), (300, 2), (512, 1), (64, 4)])
def test_result_has_the_requested_size(lite: Restorer, side: int, scale: int) -> None:
    face = degrade(cv2.resize(ASTRONAUT, (side, side), interpolation=cv2.INTER_AREA))
    results = lite.run("face_restore", [Photo("face", face)], has_aligned=True, face_upscale=scale)
    assert results.photos[0].pixels.shape == (side * scale, side * scale, 3)
    assert results.reports[0].face_restoration_applied
    if scale == 1:
        assert (results.photos[0].pixels != face).any()


def test_photo_that_is_not_square_gives_a_warning(lite: Restorer) -> None:
    results = lite.run("face_restore", [Photo("face", ASTRONAUT[:200])], has_aligned=True)
    assert results.photos[0].pixels.shape == (200, 256, 3)
    assert any("256x200" in warning for warning in results.reports[0].warnings)


@pytest.mark.parametrize("kind", ["colour", "grey", "16 bits", "alpha"])
@pytest.mark.parametrize("variant", ["gfpgan_v1.4", "lite"])
def test_result_is_the_network_output(
    monkeypatch: pytest.MonkeyPatch, face_net: Model, variant: str, kind: str
) -> None:
    monkeypatch.setattr(face_batches, "restore_faces", RecordingNetwork(0.1))
    model = face_net if variant == "lite" else official_model(variant)
    side = 256 if variant == "lite" else 512
    pixels = np.clip(cv2.GaussianBlur(cv2.resize(ASTRONAUT, (side, side)), (0, 0), 2), 0, 220)
    pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if kind == "grey" else pixels
    pixels = pixels.astype(np.uint16) * 257 if kind == "16 bits" else pixels
    alpha = np.full((side, side), 77, np.uint8) if kind == "alpha" else None
    full = np.iinfo(pixels.dtype).max
    detector = FixedDetector()
    contexts = contexts_of(model, detector)

    def run(strength: float) -> Photo:
        options = FaceRestoreOptions(has_aligned=True, strength=strength)
        [photo] = run_face_restore([Photo("0", pixels, alpha)], options, contexts)
        return photo

    photo = run(1.0)
    np.testing.assert_allclose(photo.pixels / full, pixels / full + 0.1, atol=1.01 / 255)
    assert photo.pixels.dtype == pixels.dtype
    if alpha is not None:
        np.testing.assert_array_equal(photo.alpha, alpha)
    np.testing.assert_allclose(run(0.5).pixels / full, pixels / full + 0.05, atol=1.51 / 255)
    assert detector.calls == []


def test_aligned_faces_run_in_one_batch_with_profile_fast(
    monkeypatch: pytest.MonkeyPatch, face_net: Model
) -> None:
    sizes: list[int] = []
    counting = count_batches(face_batches.restore_faces, sizes)
    monkeypatch.setattr(face_batches, "restore_faces", counting)
    photos = [Photo(str(index), cv2.resize(ASTRONAUT, (100 + index,) * 2)) for index in range(4)]
    contexts = contexts_of(face_net, *[FixedDetector()] * 4, profile="fast")
    run_face_restore(photos, FaceRestoreOptions(has_aligned=True), contexts)
    assert sizes == [4]


def test_neither_detector_nor_background_network_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.models.download.Downloader.fetch", refuse_download)
    restorer = Restorer(weights="official", weights_dir=tmp_path, device="cpu")
    report = restorer.run(
        "face_restore",
        [Photo("a", ASTRONAUT)],
        has_aligned=True,
        face_model="lite",
        face_detector="retinaface_resnet50",
        background_enhance=True,
        min_face_px=9,
    ).reports[0]
    assert report.face_restoration_applied
    unused = [warning.split()[0] for warning in report.warnings]
    assert unused == ["background_enhance", "face_detector", "min_face_px"]


@pytest.mark.parametrize("noise", [0, 25])
@pytest.mark.parametrize("side", [300, 500, 700, 3000])
def test_lite_network_does_not_degrade_large_faces(lite: Restorer, side: int, noise: int) -> None:
    """Faces of more than two pixels per network pixel are not restored."""
    face = cv2.resize(ASTRONAUT[40:170, 70:190], (side, side), interpolation=cv2.INTER_CUBIC)
    clean = cv2.GaussianBlur(face, (0, 0), side / 400)
    noisy = clean + np.random.default_rng(1).normal(0, noise, clean.shape)
    before = np.clip(noisy, 0, 255).astype(np.uint8)
    results = lite.run("face_restore", [Photo("face", before)], has_aligned=True)
    after, report = results.photos[0].pixels, results.reports[0]
    if side > 512:
        assert "finer detail than the network can add" in report.warnings[0]
        assert report.face_restoration_applied is False
        np.testing.assert_array_equal(after, before)
    elif noise:
        assert mean_squared_error(after, clean) < 0.95 * mean_squared_error(before, clean)
    else:
        # A clean face loses a little of its finest detail.
        assert mean_squared_error(after, clean) < 5.0**2


def test_restored_face_is_averaged_if_the_photo_is_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = torch.from_numpy(np.indices((512, 512)).sum(axis=0) % 2 * 0.06 - 0.03).float()
    monkeypatch.setattr(
        face_batches, "restore_faces", lambda faces, model, fidelity: faces + pattern
    )
    [context] = contexts_of(official_model("gfpgan_v1.4"), FixedDetector())
    photo = Photo("a", np.full((200, 200, 3), 128, np.uint8))
    [result] = run_face_restore([photo], FaceRestoreOptions(has_aligned=True), [context])
    assert context.report.face_restoration_applied
    assert np.abs(result.pixels.astype(int) - 128).max() <= 2
    [changed] = context.changed_areas
    assert changed.shape == (200, 200)
    assert changed.all()
