"""The embedded detector: faces in known photos, on host and device, and its searches."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from facefakes import ASTRONAUT, CPU
from PIL import Image
from places import PROJECT
from skimage import data

from restore.faces.centerface import CenterFaceDetector
from restore.faces.centerface_decoding import decode_faces, without_overlaps
from restore.faces.face import Face
from restore.faces.search import find_faces
from restore.models.catalog import Catalog
from restore.models.loader import load_model
from restore.models.policy import Policy, resolve
from restore.models.store import WeightStore

MANUAL = np.array([(204, 101), (247, 104), (224, 127), (203, 140), (247, 140)]) - (96, 0)
"""Landmarks of the astronaut, marked by eye in ASTRONAUT."""


@pytest.fixture(scope="module")
def detector() -> CenterFaceDetector:
    store = WeightStore(Catalog.load(), Path("unused"), offline=True)
    resolved = resolve(store, "face_detect", "centerface", Policy.OFFICIAL)
    return CenterFaceDetector(load_model(resolved, CPU))


def faces_in(detector: CenterFaceDetector, pixels: np.ndarray) -> list[Face]:
    found = find_faces(detector, pixels, short_side_px=None, threshold=0.97)
    return [each.face for each in found if not each.reason]


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def test_landmarks_equal_manual_ones_and_the_emblem_is_no_face(
    detector: CenterFaceDetector,
) -> None:
    [face] = detector.find(ASTRONAUT, short_side_px=None, threshold=0.97)
    assert np.abs(face.landmarks - MANUAL).max() < 7.0  # a sixth of the eye distance
    assert 0.8 < face.score < 1.0
    assert (detector.name, detector.weights[0]["licence"]) == ("centerface", "MIT")
    left, top, right, bottom = face.box
    assert left < face.landmarks[:, 0].min() < face.landmarks[:, 0].max() < right
    assert top < face.landmarks[:, 1].min() < face.landmarks[:, 1].max() < bottom


def test_faces_on_a_device_are_those_on_the_host(detector: CenterFaceDetector) -> None:
    levels = torch.from_numpy(ASTRONAUT.copy()).permute(2, 0, 1)[None]
    [host] = detector.find(ASTRONAUT, short_side_px=128, threshold=0.97)
    [device] = detector.find_on_device(levels, short_side_px=128, threshold=0.97)
    np.testing.assert_allclose(device.landmarks, host.landmarks, atol=0.1)
    np.testing.assert_allclose(device.box, host.box, atol=0.1)


@pytest.mark.parametrize("seed", [0, 4])
def test_noise_of_one_level_hardly_moves_landmarks(detector: CenterFaceDetector, seed: int) -> None:
    changes = np.random.default_rng(seed).choice((-1, 0, 1), ASTRONAUT.shape, p=(0.1, 0.8, 0.1))
    noisy = (ASTRONAUT + changes).clip(0, 255).astype(np.uint8)
    faces = [
        detector.find(pixels, short_side_px=128, threshold=0.97)[0] for pixels in (ASTRONAUT, noisy)
    ]
    # 0.2 % of the distance of the eyes. A single position of the output moves by up to 1.5 %.
    assert np.abs(faces[0].landmarks - faces[1].landmarks).max() < 0.08


@pytest.mark.parametrize("factor", [0.4, 5.0])
def test_small_and_large_photos_give_the_same_landmarks(
    detector: CenterFaceDetector, factor: float
) -> None:
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(ASTRONAUT, None, fx=factor, fy=factor, interpolation=interpolation)
    [face] = detector.find(resized, short_side_px=256, threshold=0.97)
    assert np.abs(face.landmarks / factor - MANUAL).max() < 8.0


@pytest.mark.parametrize("shape", [(1, 1), (3, 900), (64, 64)])
def test_uniform_photo_has_no_face(detector: CenterFaceDetector, shape: tuple[int, int]) -> None:
    uniform = np.full((*shape, 3), 128, np.uint8)
    assert detector.find(uniform, short_side_px=64, threshold=0.97) == []


def test_turned_face_is_found_by_the_search(detector: CenterFaceDetector) -> None:
    small = cv2.resize(ASTRONAUT, (128, 128), interpolation=cv2.INTER_AREA)
    [face] = faces_in(detector, np.ascontiguousarray(np.rot90(small)))
    expected = np.stack([MANUAL[:, 1], 255 - MANUAL[:, 0]], axis=1) / 2
    assert np.abs(face.landmarks - expected).max() < 4.0


def test_cat_is_no_face_in_any_rotation(detector: CenterFaceDetector) -> None:
    cat = cv2.resize(data.chelsea(), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    assert faces_in(detector, cat) == []


def test_small_faces_start_a_second_search(
    detector: CenterFaceDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales = list[float]()

    def search(picture: np.ndarray, scale: float) -> list[Face]:
        del picture
        scales.append(scale)
        box = (5.0, 5.0, 5.0 + sizes_px.pop(0), 105.0)
        return [Face(box, 0.9, np.arange(10.0).reshape(5, 2))]

    monkeypatch.setattr(detector, "_search", search)
    monkeypatch.setattr(detector, "_refine", lambda _, faces: faces)
    for first_px, expected in ((40.0, [0.5]), (20.0, [0.5, 1.0])):
        sizes_px, scales[:] = [first_px / 0.5, 40.0], []
        detector.find(np.zeros((960, 1920, 3), np.uint8), short_side_px=None, threshold=0.9)
        assert scales == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1.jpg", "3.jpg", "8.jpg", "9.jpg", "10.jpg", "7.jpg"])
def test_faces_of_the_samples(detector: CenterFaceDetector, name: str) -> None:
    counts = {"1.jpg": 3, "3.jpg": 1, "8.jpg": 1, "9.jpg": 1, "10.jpg": 0, "7.jpg": 0}
    assert len(faces_in(detector, read(PROJECT / "data" / name))) == counts[name]


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("1888slum.jpg", 12),
        ("1908familyphoto.jpg", 5),
        ("1899nycblizzard.jpg", 0),
        ("1909chicago.jpg", 0),
        ("detroit_1915.jpg", 0),
        ("buffalo_bank_1908.jpg", 0),
    ],
)
def test_faces_of_groups_and_streets(
    detector: CenterFaceDetector, shared: Path, name: str, count: int
) -> None:
    assert len(faces_in(detector, read(shared / "photos/test/historic" / name))) == count


def test_decoded_face() -> None:
    outputs = torch.zeros(15, 8, 8)
    outputs[0] = -5.0
    outputs[0, 2, 3] = 3.0
    outputs[1, 2, 3], outputs[2, 2, 3] = np.log(10 / 4), np.log(20 / 4)  # height, width
    outputs[3, 2, 3], outputs[4, 2, 3] = 0.25, 0.5  # y, x
    outputs[5:, 2, 3] = torch.tensor([0.1, 0.2, 0.1, 0.8, 0.5, 0.5, 0.9, 0.3, 0.9, 0.7])
    [face] = decode_faces(outputs, 0.5, 0.3)
    assert face.box == pytest.approx((6.0, 6.0, 26.0, 16.0))
    assert face.score == pytest.approx(1 / (1 + np.exp(-3)))
    np.testing.assert_allclose(face.landmarks[:2], [(10, 7), (22, 7)], atol=1e-5)
    np.testing.assert_allclose(face.landmarks[3:], [(12, 15), (20, 15)], atol=1e-5)
    assert decode_faces(outputs, 0.96, 0.3) == []


def test_landmarks_are_the_mean_over_the_positions_of_a_face() -> None:
    outputs = torch.zeros(15, 8, 8)
    outputs[0] = -9.0
    outputs[1:3] = np.log(4.0)  # boxes of 16 x 16 pixels
    outputs[5:, 2, 4] = 1.0
    outputs[5:, 6, 7] = 0.7

    def landmark_x(*logits: float) -> float:
        outputs[0, 2, 3], outputs[0, 2, 4], outputs[0, 6, 7] = torch.tensor(logits)
        return float(decode_faces(outputs, 0.5, 0.3)[0].landmarks[0, 0])

    # Centres at 14 and 18 pixels; the landmarks are at the left and the right of their boxes.
    alone = landmark_x(1.0, -9.0, -9.0)
    assert alone == pytest.approx(14 - 8)
    assert landmark_x(-9.0, 1.0, -9.0) == pytest.approx(18 + 8)
    first, second = landmark_x(1.001, 1.0, -9.0), landmark_x(1.0, 1.001, -9.0)
    assert 15.9 < first < second < 16.1
    assert landmark_x(1.0, 1e-6, -9.0) == pytest.approx(alone, abs=1e-3)
    assert landmark_x(1.0, -9.0, 0.9) == pytest.approx(alone)


def test_score_at_the_limit_is_a_face() -> None:
    outputs = torch.full((15, 4, 4), -9.0)
    outputs[:, 1, 1] = 0.0
    [face] = decode_faces(outputs, 0.5, 0.3)
    np.testing.assert_allclose(face.landmarks, 4.0)


def test_of_overlapping_faces_the_better_one_is_kept() -> None:
    points = np.arange(10.0).reshape(5, 2)
    boxes = [(0.0, 0.0, 10.0, 10.0), (1.0, 0.0, 11.0, 10.0), (8.0, 0.0, 18.0, 10.0)]
    faces = [Face(box, score, points) for box, score in zip(boxes, (0.6, 0.9, 0.7), strict=True)]
    assert without_overlaps(faces, 0.3) == [faces[1], faces[2]]
    assert without_overlaps([], 0.3) == []
