"""Photos that are one aligned face (`has_aligned`): no detector, the network's own crop."""

import cv2
import numpy as np
import pytest
from facejobs import (
    ASTRONAUT,
    FixedDetector,
    Recorder,
    contexts_of,
    degraded,
    mse,
    official,
    refusing,
)

from restore import Restorer
from restore.imaging.photo import Photo
from restore.options import FaceRestoreOptions
from restore.pipelines import face_batches as module
from restore.pipelines.face_restore import run_face_restore


@pytest.mark.parametrize(("side", "scale"), [(256, 1), (300, 2), (512, 1), (64, 4)])
def test_an_aligned_face_of_any_size_keeps_its_size(lite, side, scale):
    face = degraded(cv2.resize(ASTRONAUT, (side, side), interpolation=cv2.INTER_AREA))
    results = lite.run("face_restore", [Photo("face", face)], has_aligned=True, face_upscale=scale)
    assert results.photos[0].pixels.shape == (side * scale, side * scale, 3)
    assert results.reports[0].face_restoration_applied
    if scale == 1:
        assert (results.photos[0].pixels != face).any()


def test_an_aligned_face_that_is_not_square_is_a_warning(lite):
    results = lite.run("face_restore", [Photo("face", ASTRONAUT[:200])], has_aligned=True)
    assert results.photos[0].pixels.shape == (200, 256, 3)
    assert any("256x200" in warning for warning in results.reports[0].warnings)


@pytest.mark.parametrize("kind", ["colour", "grey", "deep", "alpha"])
@pytest.mark.parametrize("variant", ["gfpgan_v1.4", "lite"])
def test_an_aligned_face_is_what_the_network_makes_of_it(monkeypatch, face_net, variant, kind):
    recorder = Recorder(0.1)
    monkeypatch.setattr(module, "restore_faces", recorder)
    model = face_net if variant == "lite" else official(variant)
    side = 256 if variant == "lite" else 512
    pixels = np.clip(cv2.GaussianBlur(cv2.resize(ASTRONAUT, (side, side)), (0, 0), 2), 0, 220)
    pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if kind == "grey" else pixels
    pixels = pixels.astype(np.uint16) * 257 if kind == "deep" else pixels
    alpha = np.full((side, side), 77, np.uint8) if kind == "alpha" else None
    full = np.iinfo(pixels.dtype).max
    [context] = contexts_of(model, FixedDetector())
    [photo] = run_face_restore(
        [Photo("0", pixels, alpha)], FaceRestoreOptions(has_aligned=True), [context]
    )
    np.testing.assert_allclose(photo.pixels / full, pixels / full + 0.1, atol=1.01 / 255)
    assert photo.pixels.dtype == pixels.dtype
    if alpha is not None:
        np.testing.assert_array_equal(photo.alpha, alpha)
    [half] = run_face_restore(
        [Photo("0", pixels, alpha)], FaceRestoreOptions(has_aligned=True, strength=0.5), [context]
    )
    np.testing.assert_allclose(half.pixels / full, pixels / full + 0.05, atol=1.51 / 255)
    assert context.detector.asked == []


def test_aligned_faces_go_through_the_network_together_where_faces_do(monkeypatch, face_net):
    sizes = []
    real = module.restore_faces
    monkeypatch.setattr(
        module,
        "restore_faces",
        lambda faces, **rest: sizes.append(len(faces)) or real(faces, **rest),
    )
    photos = [Photo(str(i), cv2.resize(ASTRONAUT, (100 + i, 100 + i))) for i in range(4)]
    run_face_restore(
        photos,
        FaceRestoreOptions(has_aligned=True),
        contexts_of(face_net, *[FixedDetector()] * 4, profile="fast"),
    )
    assert sizes == [4]


def test_has_aligned_asks_for_no_detector_and_no_background(tmp_path, monkeypatch):
    monkeypatch.setattr("restore.models.download.Downloader.fetch", refusing)
    restorer = Restorer(weights="official", weights_dir=tmp_path, device="cpu")
    inputs = {
        "face_model": "lite",
        "face_detector": "retinaface_resnet50",
        "background_enhance": True,
        "min_face_px": 9,
    }
    report = restorer.run(
        "face_restore", [Photo("a", ASTRONAUT)], has_aligned=True, **inputs
    ).reports[0]
    assert report.face_restoration_applied
    assert [warning.split()[0] for warning in report.warnings] == [
        "background_enhance",
        "min_face_px",
    ]


@pytest.mark.parametrize("noise", [0, 25])
@pytest.mark.parametrize("side", [300, 500, 700, 3000])
def test_the_lite_network_does_not_make_a_large_face_worse(lite, side, noise):
    """Beyond two pixels of the photo for one of the network's there is nothing to add; below, noise is averaged, not sampled."""
    clean = cv2.GaussianBlur(
        cv2.resize(ASTRONAUT[40:170, 70:190], (side, side), interpolation=cv2.INTER_CUBIC),
        (0, 0),
        side / 400,
    )
    before = np.clip(clean + np.random.default_rng(1).normal(0, noise, clean.shape), 0, 255).astype(
        np.uint8
    )
    results = lite.run("face_restore", [Photo("face", before)], has_aligned=True)
    after = results.photos[0].pixels
    if side > 512:
        assert "finer detail than the network can add" in results.reports[0].warnings[0]
        assert results.reports[0].face_restoration_applied is False
        np.testing.assert_array_equal(after, before)
    elif noise:
        assert mse(after, clean) < 0.95 * mse(before, clean)
    else:
        assert (
            mse(after, clean) < 5.0**2
        )  # what a face with nothing wrong loses of its finest detail
