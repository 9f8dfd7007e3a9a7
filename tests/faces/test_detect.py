"""Face detectors: faces in known photos, photo sizes, and missing dependencies."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
import torch
from PIL import Image
from places import PROJECT, SHARED
from skimage import data

from restore.errors import Code, RestoreError
from restore.faces.convention import CODEFORMER, FACEXLIB, Convention
from restore.faces.detect import (
    MAX_DETECT_PIXELS,
    DlibDetector,
    RetinaFaceDetector,
    landmarks_from_outline,
)
from restore.faces.face import Face
from restore.faces.rotation import turn, turn_face_back
from restore.faces.search import find_faces
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_model
from restore.models.policy import Policy, resolve
from restore.models.store import WeightStore

HISTORIC = "photos/test/historic"


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def assert_plausible(face: Face) -> None:
    left, top, right, bottom = face.box
    x, y = face.landmarks[:, 0], face.landmarks[:, 1]
    assert left < x.min() < x.max() < right
    assert top < y.min() < y.max() < bottom
    assert y[:2].max() < y[2] < y[3:].min(), "eyes, nose and mouth from top to bottom"
    assert x[0] < x[1], "the left eye comes first"
    assert x[3] < x[4], "the left corner of the mouth comes first"


class FakeRetinaFace(torch.nn.Module):
    """Has facexlib's interface; records its input and returns two faces, the better one last."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.device, self.mean_tensor = torch.device("meta"), torch.zeros(3)
        self.input: np.ndarray = np.empty(0)
        self.thresholds: tuple[float, float] = (0.0, 0.0)

    def detect_faces(
        self, image: np.ndarray, conf_threshold: float, nms_threshold: float
    ) -> np.ndarray:
        self.input, self.thresholds = image, (conf_threshold, nms_threshold)
        face = np.array([10, 20, 30, 40, 0.9, *range(10)], np.float32)
        return np.stack([face, np.where(np.arange(15) == 4, 0.95, 2 * face)])


@pytest.fixture
def fake() -> RetinaFaceDetector:
    return RetinaFaceDetector(
        Model(
            Catalog.load().find("face_detect", "retinaface_resnet50"),
            "retinaface_resnet50",
            FakeRetinaFace(),
        )
    )


class TestRetinaFaceSize:
    @pytest.mark.parametrize(
        ("shape", "short_side_px", "expected"),
        [
            ((100, 200), None, (100, 200)),
            ((100, 200), 640, (640, 1280)),
            ((1000, 1280), 640, (640, 819)),
            ((3000, 5000), None, (2190, 3651)),
            ((4, 40_000), 640, (28, 282_842)),
        ],
    )
    def test_photo_is_resized_within_the_limit(
        self,
        fake: RetinaFaceDetector,
        shape: tuple[int, int],
        short_side_px: int | None,
        expected: tuple[int, int],
    ) -> None:
        fake.find(np.zeros((*shape, 3), np.uint8), short_side_px=short_side_px, threshold=0.8)
        height, width = fake._net.input.shape[:2]
        assert (height, width) == expected
        assert height * width <= MAX_DETECT_PIXELS

    def test_faces_are_in_photo_pixels_and_sorted_by_score(self, fake: RetinaFaceDetector) -> None:
        pixels = np.zeros((320, 480, 3), np.uint8)
        pixels[..., 0] = 200
        better, other = fake.find(pixels, short_side_px=640, threshold=0.97)
        assert other.box == (5.0, 10.0, 15.0, 20.0)
        assert other.landmarks.tolist() == (np.arange(10).reshape(5, 2) / 2).tolist()
        assert (round(better.score, 4), round(other.score, 4)) == (0.95, 0.9)
        assert better.box == (10.0, 20.0, 30.0, 40.0)
        assert fake._net.input[0, 0].tolist() == [0, 0, 200], "facexlib expects BGR"
        assert fake._net.thresholds == (0.97, 0.4)
        assert fake.name == "retinaface_resnet50"

    def test_attributes_of_facexlib_are_moved_to_the_device(self, fake: RetinaFaceDetector) -> None:
        assert fake._net.device == torch.device("cpu")
        assert fake._net.mean_tensor.device == torch.device("cpu")


@pytest.fixture(scope="module")
def dlib_detector() -> DlibDetector:
    return DlibDetector()


class TestDlib:
    @pytest.fixture(autouse=True)
    def _detector(self, dlib_detector: DlibDetector) -> None:
        self.detector = dlib_detector

    def find(self, pixels: np.ndarray) -> list[Face]:
        return self.detector.find(pixels, short_side_px=None, threshold=0.97)

    @pytest.mark.parametrize(
        ("name", "count"), [("astronaut", 2), ("1.jpg", 3), ("8.jpg", 1), ("9.jpg", 1)]
    )
    def test_faces_equal_those_of_dlib(self, name: str, count: int) -> None:
        # The second face of the astronaut is a false positive of dlib: the emblem on her suit.
        pixels = data.astronaut() if name == "astronaut" else read(PROJECT / "data" / name)
        expected = [
            (box.left(), box.top(), box.right() + 1, box.bottom() + 1)
            for box in dlib.get_frontal_face_detector()(pixels, 1)
        ]
        faces = self.find(pixels)
        assert len(faces) == len(expected) == count
        for box in expected:
            nearest = min(faces, key=lambda face: np.abs(np.subtract(face.box, box)).max())
            assert np.abs(np.subtract(nearest.box, box)).max() < 0.2 * nearest.size_px
        assert [face.score for face in faces] == sorted(
            (face.score for face in faces), reverse=True
        )
        assert all(0.5 <= face.score <= 1.0 for face in faces)
        assert_plausible(faces[0])

    def test_landmarks_equal_manual_ones(self) -> None:
        (face, _) = self.find(data.astronaut())
        manual = np.array([(204, 101), (247, 104), (224, 127), (203, 140), (247, 140)])
        assert np.abs(face.landmarks - manual).max() < 4.0  # a tenth of the eye distance

    @pytest.mark.parametrize("name", ["5.jpg", "6.jpg", "7.jpg", "10.jpg", "11.jpg", "12.jpg"])
    def test_photos_without_people_have_no_face(self, name: str) -> None:
        assert self.find(read(PROJECT / "data" / name)) == []

    @pytest.mark.parametrize("shape", [(1, 1), (3, 900), (64, 64), (700, 1700)])
    def test_uniform_photo_has_no_face(self, shape: tuple[int, int]) -> None:
        assert self.find(np.full((*shape, 3), 128, np.uint8)) == []

    @pytest.mark.parametrize("factor", [0.5, 6.0])
    def test_small_and_large_photos_give_the_same_landmarks(self, factor: float) -> None:
        # The face has 46 px in the small photo. The large one would take 30 times as long.
        pixels = data.astronaut()
        landmarks = self.find(pixels)[0].landmarks * factor
        interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=interpolation)
        difference = np.abs(self.find(resized)[0].landmarks - landmarks)
        assert difference.max() < 0.1 * np.linalg.norm(landmarks[0] - landmarks[1])

    def test_landmarks_are_those_of_the_outline(self) -> None:
        face = self.find(data.astronaut())[0]
        assert face.outline is not None
        assert face.outline.shape == (68, 2)
        np.testing.assert_allclose(face.landmarks, landmarks_from_outline(face.outline))
        assert np.abs(face.outline[30] - face.landmarks[2]).max() == 0

    def test_box_of_a_face_at_the_edge_reaches_outside_the_photo(self) -> None:
        (face,) = self.find(np.ascontiguousarray(data.astronaut()[85:260, 150:300]))
        assert face.box[1] < 0 < face.landmarks.min()

    def test_photo_is_not_modified(self) -> None:
        pixels = data.astronaut()
        pixels.flags.writeable = False
        assert self.find(pixels)


def test_landmarks_from_outline() -> None:
    points = np.stack([np.arange(68.0), 100 + np.arange(68.0)], axis=1)
    assert landmarks_from_outline(points)[:, 0].tolist() == [38.5, 44.5, 30.0, 48.0, 54.0]
    assert landmarks_from_outline(points)[:, 1].tolist() == [138.5, 144.5, 130.0, 148.0, 154.0]


@pytest.mark.parametrize("missing", ["package", "file"])
def test_missing_landmarks_are_an_error_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str
) -> None:
    spec = None
    if missing == "file":
        spec = importlib.util.spec_from_file_location(
            "m", tmp_path / "m.py", submodule_search_locations=[str(tmp_path)]
        )
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(RestoreError, match="shape_predictor_68") as caught:
        DlibDetector()
    assert caught.value.code is Code.WEIGHTS_MISSING
    assert "pip install face_recognition_models" in str(caught.value)


def test_missing_dlib_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(RestoreError, match="dlib cannot be imported") as caught:
        DlibDetector()
    assert caught.value.code is Code.WEIGHTS_MISSING


def test_dlib_is_imported_late_and_its_models_package_never() -> None:
    code = (
        "import sys, restore.faces.detect; assert 'dlib' not in sys.modules;"
        "restore.faces.detect.DlibDetector();"
        "unwanted = ('face_recognition_models', 'pkg_resources', 'facexlib');"
        "sys.exit(any(name in sys.modules for name in unwanted))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


@pytest.fixture(scope="module")
def retinaface(tmp_path_factory: pytest.TempPathFactory) -> RetinaFaceDetector:
    """Return the small RetinaFace with its official checkpoint."""
    root = tmp_path_factory.mktemp("weights")
    (root / "face_detect").mkdir()
    shutil.copy(SHARED / "weights" / "detection_mobilenet0.25_Final.pth", root / "face_detect")
    store = WeightStore(Catalog.load(), root, offline=True)
    resolved = resolve(store, "face_detect", "retinaface_mobile0.25", Policy.OFFICIAL)
    return RetinaFaceDetector(load_model(resolved, torch.device("cpu")))


@pytest.mark.shared
class TestRetinaFaceWithOfficialWeights:
    @pytest.mark.parametrize(
        "convention", [CODEFORMER, FACEXLIB], ids=lambda convention: convention.name
    )
    @pytest.mark.parametrize(
        ("name", "count"),
        [
            ("1860girls", 3),
            ("1867musicianconstantinople", 1),
            ("1870girl", 1),
            ("migrant_mother_1936", 1),
            ("detroit_1915", 0),
        ],
    )
    def test_number_of_faces(
        self,
        retinaface: RetinaFaceDetector,
        shared: Path,
        convention: Convention,
        name: str,
        count: int,
    ) -> None:
        pixels = read(shared / HISTORIC / f"{name}.jpg")
        faces = retinaface.find(
            pixels,
            short_side_px=convention.detect_short_side_px,
            threshold=convention.score_threshold,
        )
        assert len(faces) == count
        for face in faces:
            assert convention.score_threshold < face.score <= 1.0
            assert_plausible(face)

    @pytest.mark.parametrize(
        ("name", "at_least", "people"), [("1908familyphoto", 5, 5), ("1888slum", 10, 16)]
    )
    def test_number_of_faces_in_groups(
        self, retinaface: RetinaFaceDetector, shared: Path, name: str, at_least: int, people: int
    ) -> None:
        pixels = read(shared / HISTORIC / f"{name}.jpg")
        faces = retinaface.find(pixels, short_side_px=640, threshold=0.8)
        assert at_least <= len(faces) <= people
        assert [face.score for face in faces] == sorted(
            (face.score for face in faces), reverse=True
        )

    @pytest.mark.parametrize("quarters", [1, 2, 3])
    @pytest.mark.parametrize("name", ["1870girl", "astronaut"])
    def test_face_of_a_rotated_photo_gets_the_landmarks_of_the_upright_one(
        self, retinaface: RetinaFaceDetector, shared: Path, name: str, quarters: int
    ) -> None:
        pixels = (
            data.astronaut() if name == "astronaut" else read(shared / HISTORIC / f"{name}.jpg")
        )
        [upright] = find_faces(retinaface, pixels, short_side_px=640, threshold=0.8)
        rotated = turn(pixels, quarters)
        found = find_faces(retinaface, rotated, short_side_px=640, threshold=0.8)
        [face] = [each.face for each in found if not each.reason]
        back = turn_face_back(face, quarters, pixels.shape[1], pixels.shape[0])
        distance = np.linalg.norm(back.landmarks - upright.face.landmarks, axis=1).max()
        eyes = upright.face.landmarks[:2]
        assert distance < 0.25 * np.linalg.norm(eyes[0] - eyes[1])

    @pytest.mark.parametrize(
        "name", ["real/frog.png", "real/building.png", "real/vegetable1.jpeg", "kodak/19.png"]
    )
    def test_false_detections_do_not_fit(
        self, retinaface: RetinaFaceDetector, shared: Path, name: str
    ) -> None:
        """The detector itself gives them scores of 0.81 to 0.94."""
        pixels = read(shared / "photos/test" / name)
        assert retinaface.find(pixels, short_side_px=640, threshold=0.8)
        found = find_faces(retinaface, pixels, short_side_px=640, threshold=0.8)
        assert [each for each in found if not each.reason] == []

    def test_uniform_photo_has_no_face(self, retinaface: RetinaFaceDetector) -> None:
        uniform = np.full((64, 80, 3), 128, np.uint8)
        assert retinaface.find(uniform, short_side_px=None, threshold=0.8) == []

    @pytest.mark.parametrize("name", ["1870girl", "1860girls", "astronaut"])
    def test_landmarks_agree_with_dlib(
        self,
        retinaface: RetinaFaceDetector,
        dlib_detector: DlibDetector,
        shared: Path,
        name: str,
    ) -> None:
        pixels = (
            data.astronaut() if name == "astronaut" else read(shared / HISTORIC / f"{name}.jpg")
        )
        faces = retinaface.find(pixels, short_side_px=640, threshold=0.8)
        others = dlib_detector.find(pixels, short_side_px=640, threshold=0.8)
        assert faces
        for face in faces:
            distances = [
                np.linalg.norm(other.landmarks - face.landmarks, axis=1).max() for other in others
            ]
            assert min(distances) < 0.12 * np.linalg.norm(face.landmarks[0] - face.landmarks[1])
