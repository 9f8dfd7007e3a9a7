"""Faces that are found on a device equal those that facexlib finds."""

import numpy as np
import pytest
import torch

from restore.faces.detect import RetinaFaceDetector
from restore.faces.retinaface_decoding import decode_faces
from restore.models.adapters.retinaface import new_retinaface
from restore.models.catalog import Catalog
from restore.models.loader import Model

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def detector() -> RetinaFaceDetector:
    """Return RetinaFace (mobile0.25) with random weights, which finds something everywhere."""
    torch.manual_seed(3)
    net = new_retinaface("mobile0.25").eval()
    row = Catalog.load().find("face_detect", "retinaface_mobile0.25")
    return RetinaFaceDetector(Model(row, "retinaface_mobile0.25", net))


@pytest.mark.parametrize(
    ("shape", "short_side_px"), [((97, 131), None), ((97, 131), 160), ((300, 210), 120)]
)
def test_faces_equal_those_of_facexlib(
    detector: RetinaFaceDetector, shape: tuple[int, int], short_side_px: int | None
) -> None:
    pixels = RNG.integers(0, 256, (*shape, 3), np.uint8)
    levels = torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()
    everything = detector.find(pixels, short_side_px=short_side_px, threshold=0.0)
    threshold = float(np.median([face.score for face in everything]))
    expected = detector.find(pixels, short_side_px=short_side_px, threshold=threshold)
    found = detector.find_on_device(levels, short_side_px=short_side_px, threshold=threshold)
    assert len(expected) > 3
    assert len(found) == pytest.approx(len(expected), rel=0.1)
    for face, wanted in zip(found[:3], expected[:3], strict=True):
        assert face.score == pytest.approx(wanted.score, abs=2e-3)
        np.testing.assert_allclose(face.box, wanted.box, atol=0.5)
        np.testing.assert_allclose(face.landmarks, wanted.landmarks, atol=0.5)


def test_no_face_gives_no_row() -> None:
    outputs = [torch.zeros(1, 42, width) for width in (4, 2, 10)]
    faces = decode_faces(outputs, (32, 32), threshold=0.5, max_overlap=0.4)
    assert faces.shape == (0, 15)
