"""Pasting restored faces into photos."""

import cv2
import numpy as np
import pytest
from facefakes import (
    ASTRONAUT,
    FixedDetector,
    RecordingNetwork,
    contexts_of,
    face_at,
    official_model,
    restore_one,
)

from restore.imaging.photo import Photo
from restore.options import FaceRestoreOptions, RuntimeProfile
from restore.pipelines.face_restore import run_face_restore

RESTORE_FACES = "restore.pipelines.face_batches.restore_faces"


@pytest.mark.parametrize("profile", ["baseline", "fast", "max_speed"])
def test_every_face_is_pasted_where_it_was_found(
    monkeypatch: pytest.MonkeyPatch, profile: RuntimeProfile
) -> None:
    """The network brightens faces, so each is recognised by its colour."""
    network = RecordingNetwork()
    monkeypatch.setattr(RESTORE_FACES, network)
    pixels = np.zeros((300, 600, 3), np.uint8)
    pixels[:, :200], pixels[:, 200:400], pixels[:, 400:] = (40, 0, 0), (0, 80, 0), (0, 0, 120)
    detectors = [
        FixedDetector(face_at(500, 150, 30), face_at(100, 150, 30)),
        FixedDetector(face_at(300, 150, 30)),
    ]
    photos = run_face_restore(
        [Photo("0", pixels), Photo("1", pixels)],
        FaceRestoreOptions(codeformer_fidelity=0.8),
        contexts_of(official_model("gfpgan_v1.4"), *detectors, profile=profile),
    )
    expected = [
        {500: (25.5, 25.5, 145.5), 100: (65.5, 25.5, 25.5), 300: (0, 80, 0)},
        {500: (0, 0, 120), 100: (40, 0, 0), 300: (25.5, 105.5, 25.5)},
    ]
    for photo, colours in zip(photos, expected, strict=True):
        for x, colour in colours.items():
            np.testing.assert_allclose(photo.pixels[150, x], colour, atol=1)
    assert set(network.fidelities) == {0.8}
    assert [face.shape for face in network.inputs] == [(3, 512, 512)] * 3


@pytest.mark.parametrize(("size_px", "warns"), [(100, False), (400, True)])
def test_face_much_larger_than_the_crop_gives_a_warning(
    monkeypatch: pytest.MonkeyPatch, size_px: int, warns: bool
) -> None:
    monkeypatch.setattr(RESTORE_FACES, RecordingNetwork())
    large = cv2.resize(ASTRONAUT, (1200, 1200))
    _, report = restore_one(official_model("gfpgan_v1.4"), large, face_at(600, 515, size_px))
    assert any("may lose fine detail" in warning for warning in report.warnings) is warns
