"""Detectors: what they find in photos that a person has looked at, at which size, and what they say where something is missing."""

import importlib.util
import shutil
import subprocess
import sys

import cv2
import dlib
import numpy as np
import pytest
import torch
from conftest import PROJECT, SHARED
from PIL import Image
from skimage import data

from restore.errors import Code, RestoreError
from restore.faces import detect
from restore.faces.convention import CODEFORMER, FACEXLIB
from restore.faces.detect import MAX_DETECT_PIXELS, DlibDetector, RetinaFaceDetector, five_of
from restore.faces.face import Face
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_model
from restore.models.store import Policy, WeightStore

HISTORIC = "photos/test/historic"


def read(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def assert_sensible(face: Face) -> None:
    left, top, right, bottom = face.box
    x, y = face.landmarks[:, 0], face.landmarks[:, 1]
    assert left < x.min() < x.max() < right
    assert top < y.min() < y.max() < bottom
    assert y[:2].max() < y[2] < y[3:].min(), "eyes, nose, mouth from above"
    assert x[0] < x[1], "the eye at the image's left comes first"
    assert x[3] < x[4], "the corner of the mouth at the image's left comes first"


class FakeRetinaFace(torch.nn.Module):
    """In place of facexlib's: remembers what it saw and finds two faces, the better one last."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.device, self.mean_tensor = torch.device("meta"), torch.zeros(3)
        self.seen: np.ndarray = np.empty(0)
        self.thresholds: tuple[float, float] = (0.0, 0.0)

    def detect_faces(
        self, image: np.ndarray, conf_threshold: float, nms_threshold: float
    ) -> np.ndarray:
        self.seen, self.thresholds = image, (conf_threshold, nms_threshold)
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
        ("shape", "short_side_px", "seen"),
        [
            ((100, 200), None, (100, 200)),
            ((100, 200), 640, (640, 1280)),
            ((1000, 1280), 640, (640, 819)),
            ((3000, 5000), None, (2190, 3651)),
            ((4, 40_000), 640, (28, 282_842)),
        ],
    )
    def test_the_photo_is_seen_at_the_size_asked_for_within_the_limit(
        self, fake, shape, short_side_px, seen
    ):
        fake.find(np.zeros((*shape, 3), np.uint8), short_side_px=short_side_px, threshold=0.8)
        height, width = fake._net.seen.shape[:2]
        assert (height, width) == seen
        assert height * width <= MAX_DETECT_PIXELS

    def test_faces_come_back_in_the_photos_pixels_best_first(self, fake):
        pixels = np.zeros((320, 480, 3), np.uint8)
        pixels[..., 0] = 200
        better, other = fake.find(pixels, short_side_px=640, threshold=0.97)
        assert other.box == (5.0, 10.0, 15.0, 20.0)
        assert other.landmarks.tolist() == (np.arange(10).reshape(5, 2) / 2).tolist()
        assert (round(better.score, 4), round(other.score, 4), better.box) == (
            0.95,
            0.9,
            (10.0, 20.0, 30.0, 40.0),
        )
        assert fake._net.seen[0, 0].tolist() == [0, 0, 200], "facexlib wants BGR"
        assert fake._net.thresholds == (0.97, 0.4)
        assert fake.name == "retinaface_resnet50"

    def test_what_facexlib_keeps_beside_its_parameters_is_where_they_are(self, fake):
        assert fake._net.device == torch.device("cpu")
        assert fake._net.mean_tensor.device == torch.device("cpu")


@pytest.fixture(scope="module")
def one_dlib() -> DlibDetector:
    return DlibDetector()


class TestDlib:
    @pytest.fixture(autouse=True)
    def _detector(self, one_dlib):
        self.detector = one_dlib

    def find(self, pixels: np.ndarray) -> list[Face]:
        return self.detector.find(pixels, short_side_px=None, threshold=0.97)

    @pytest.mark.parametrize(
        ("name", "count"), [("astronaut", 2), ("1.jpg", 3), ("8.jpg", 1), ("9.jpg", 1)]
    )
    def test_it_finds_what_dlib_itself_finds(self, name, count):
        """In the astronaut the second one is the round emblem on her suit: dlib's own fault, at the edge of its decision."""
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
        assert_sensible(faces[0])

    def test_landmarks_lie_on_the_face(self):
        """The astronaut's, as a person reads them off the enlarged photo, to within a tenth of the distance of her eyes."""
        (face, _) = self.find(data.astronaut())
        read_off = np.array([(204, 101), (247, 104), (224, 127), (203, 140), (247, 140)])
        assert np.abs(face.landmarks - read_off).max() < 4.0

    @pytest.mark.parametrize("name", ["5.jpg", "6.jpg", "7.jpg", "10.jpg", "11.jpg", "12.jpg"])
    def test_streets_a_cat_a_cup_and_a_rocket_have_no_face(self, name):
        assert self.find(read(PROJECT / "data" / name)) == []

    @pytest.mark.parametrize("shape", [(1, 1), (3, 900), (64, 64), (700, 1700)])
    def test_a_flat_picture_has_no_face(self, shape):
        assert self.find(np.full((*shape, 3), 128, np.uint8)) == []

    @pytest.mark.parametrize("factor", [0.5, 6.0])
    def test_a_photo_of_any_size_is_seen_at_a_good_one(self, factor):
        """Her face is 46 px wide in the small one; the large one would take thirty times as long as it is."""
        pixels = data.astronaut()
        landmarks = self.find(pixels)[0].landmarks * factor
        other = self.find(
            cv2.resize(
                pixels,
                None,
                fx=factor,
                fy=factor,
                interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR,
            )
        )
        assert np.abs(other[0].landmarks - landmarks).max() < 0.1 * np.linalg.norm(
            landmarks[0] - landmarks[1]
        )

    def test_its_faces_have_the_outline_that_their_landmarks_are_made_of(self):
        face = self.find(data.astronaut())[0]
        assert face.outline.shape == (68, 2)
        np.testing.assert_allclose(face.landmarks, five_of(face.outline))
        assert np.abs(face.outline[30] - face.landmarks[2]).max() == 0

    def test_a_face_beside_the_photos_edge_has_a_box_beyond_it(self):
        (face,) = self.find(np.ascontiguousarray(data.astronaut()[85:260, 150:300]))
        assert face.box[1] < 0 < face.landmarks.min()

    def test_it_leaves_the_photo_as_it_was(self):
        pixels = data.astronaut()
        pixels.flags.writeable = False
        assert self.find(pixels)


def test_five_of_68():
    points = np.stack([np.arange(68.0), 100 + np.arange(68.0)], axis=1)
    assert five_of(points)[:, 0].tolist() == [38.5, 44.5, 30.0, 48.0, 54.0]
    assert five_of(points)[:, 1].tolist() == [138.5, 144.5, 130.0, 148.0, 154.0]


@pytest.mark.parametrize("missing", ["package", "file"])
def test_missing_landmarks_are_named_with_the_remedy(monkeypatch, tmp_path, missing):
    spec = None
    if missing == "file":
        spec = importlib.util.spec_from_file_location(
            "m", tmp_path / "m.py", submodule_search_locations=[str(tmp_path)]
        )
    monkeypatch.setattr(detect.importlib.util, "find_spec", lambda _: spec)
    with pytest.raises(RestoreError, match="shape_predictor_68") as caught:
        DlibDetector()
    assert caught.value.code is Code.WEIGHTS_MISSING
    assert "pip install face_recognition_models" in str(caught.value)


def test_a_missing_dlib_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(RestoreError, match="dlib cannot be imported") as caught:
        DlibDetector()
    assert caught.value.code is Code.WEIGHTS_MISSING


def test_dlib_and_its_models_package_are_imported_by_nobody_before():
    code = (
        "import sys, restore.faces.detect; assert 'dlib' not in sys.modules; restore.faces.detect.DlibDetector();"
        "sys.exit(any(name in sys.modules for name in ('face_recognition_models', 'pkg_resources', 'facexlib')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False).returncode == 0


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> RetinaFaceDetector:
    """The light one, from its real file, verified by the manifest's sum."""
    root = tmp_path_factory.mktemp("weights")
    (root / "face_detect").mkdir()
    shutil.copy(SHARED / "weights" / "detection_mobilenet0.25_Final.pth", root / "face_detect")
    resolved = WeightStore(Catalog.load(), root, offline=True).resolve(
        "face_detect", "retinaface_mobile0.25", Policy.OFFICIAL
    )
    return RetinaFaceDetector(load_model(resolved, torch.device("cpu")))


@pytest.mark.shared
class TestRetinaFaceWithItsRealWeights:
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
    def test_portraits_and_a_street(self, detector, shared, convention, name, count):
        pixels = read(shared / HISTORIC / f"{name}.jpg")
        faces = detector.find(
            pixels,
            short_side_px=convention.detect_short_side_px,
            threshold=convention.score_threshold,
        )
        assert len(faces) == count
        for face in faces:
            assert convention.score_threshold < face.score <= 1.0
            assert_sensible(face)

    @pytest.mark.parametrize(
        ("name", "at_least", "people"), [("1908familyphoto", 5, 5), ("1888slum", 10, 16)]
    )
    def test_groups(self, detector, shared, name, at_least, people):
        pixels = read(shared / HISTORIC / f"{name}.jpg")
        faces = detector.find(pixels, short_side_px=640, threshold=0.8)
        assert at_least <= len(faces) <= people
        assert [face.score for face in faces] == sorted(
            (face.score for face in faces), reverse=True
        )

    def test_a_flat_picture_has_no_face(self, detector):
        assert (
            detector.find(np.full((64, 80, 3), 128, np.uint8), short_side_px=None, threshold=0.8)
            == []
        )

    @pytest.mark.parametrize("name", ["1870girl", "1860girls", "astronaut"])
    def test_dlib_agrees_on_where_eyes_nose_and_mouth_are(self, detector, one_dlib, shared, name):
        """To about a tenth of the distance of the eyes; a turned head's nose tip differs most."""
        pixels = (
            data.astronaut() if name == "astronaut" else read(shared / HISTORIC / f"{name}.jpg")
        )
        faces = detector.find(pixels, short_side_px=640, threshold=0.8)
        others = one_dlib.find(pixels, short_side_px=640, threshold=0.8)
        assert faces
        for face in faces:
            distances = [
                np.linalg.norm(other.landmarks - face.landmarks, axis=1).max() for other in others
            ]
            assert min(distances) < 0.12 * np.linalg.norm(face.landmarks[0] - face.landmarks[1])
