"""Searching photos for faces, upright and turned."""

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
from facefakes import ASTRONAUT, FixedDetector, face_at
from PIL import Image
from places import PROJECT
from skimage import data

from restore.faces.detect import DlibDetector
from restore.faces.face import Face
from restore.faces.rotation import turn, turn_face_back
from restore.faces.search import TURNED_SHORT_SIDE_PX, find_faces

FACE = face_at(128, 110, 60)


@pytest.fixture(scope="module")
def dlib_detector() -> DlibDetector:
    return DlibDetector()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_faces_of_a_rotated_photo_are_those_of_the_upright_one(
    dlib_detector: DlibDetector, quarters: int
) -> None:
    upright = find_faces(dlib_detector, ASTRONAUT, short_side_px=None, threshold=0.8)
    rotated = turn(ASTRONAUT, quarters)
    found = find_faces(dlib_detector, rotated, short_side_px=None, threshold=0.8)
    [face] = [each.face for each in upright if not each.reason]
    [turned] = [each.face for each in found if not each.reason]
    height, width = ASTRONAUT.shape[:2]
    back = turn_face_back(turned, quarters, width, height)
    np.testing.assert_allclose(back.landmarks, face.landmarks, atol=0.01)
    np.testing.assert_allclose(back.box, face.box, atol=0.01)


def test_photo_with_a_fitting_face_is_searched_once() -> None:
    detector = FixedDetector(FACE)
    [checked] = find_faces(detector, ASTRONAUT, short_side_px=640, threshold=0.8)
    assert (checked.face, checked.reason) == (FACE, "")
    assert detector.calls == [(640, 0.8)]


def test_photo_without_faces_is_searched_turned_at_a_smaller_size() -> None:
    detector = FixedDetector()
    assert find_faces(detector, ASTRONAUT, short_side_px=640, threshold=0.8) == []
    assert detector.calls == [(640, 0.8), *[(TURNED_SHORT_SIDE_PX, 0.8)] * 3]


def test_without_checks_every_detection_fits_and_nothing_is_turned() -> None:
    weak = dataclasses.replace(FACE, score=0.1)
    detector = FixedDetector(weak)
    [checked] = find_faces(detector, ASTRONAUT, short_side_px=640, threshold=0.8, checks=False)
    assert (checked.face, checked.reason) == (weak, "")
    assert detector.calls == [(640, 0.8)]


@pytest.mark.parametrize("score", [0.84, np.nan])
def test_detections_below_the_limit_of_the_detector_are_dropped(score: float) -> None:
    detector = FixedDetector(dataclasses.replace(FACE, score=score))
    assert find_faces(detector, ASTRONAUT, short_side_px=640, threshold=0.8) == []


def test_two_detections_of_one_face_are_one() -> None:
    near = dataclasses.replace(FACE, score=0.9, landmarks=FACE.landmarks + 3)
    other = face_at(40, 40, 30)
    found = find_faces(
        FixedDetector(FACE, near, other), ASTRONAUT, short_side_px=640, threshold=0.8
    )
    assert [each.face for each in found] == [FACE, other]


def faces_in(detector: DlibDetector, pixels: np.ndarray) -> list[Face]:
    found = find_faces(detector, pixels, short_side_px=640, threshold=0.8)
    return [each.face for each in found if not each.reason]


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


@pytest.mark.parametrize(
    ("name", "count"), [("1.jpg", 3), ("3.jpg", 1), ("8.jpg", 1), ("9.jpg", 1), ("10.jpg", 0)]
)
def test_faces_of_the_samples_are_kept(dlib_detector: DlibDetector, name: str, count: int) -> None:
    assert len(faces_in(dlib_detector, read(PROJECT / "data" / name))) == count


def test_cat_is_no_face_in_any_rotation(dlib_detector: DlibDetector) -> None:
    cat = cv2.resize(data.chelsea(), None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    assert faces_in(dlib_detector, cat) == []


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("historic/1899nycblizzard.jpg", 0),
        ("historic/1909chicago.jpg", 0),
        ("historic/detroit_1915.jpg", 0),
        ("historic/saratoga_broadway_1905.jpg", 0),
        ("historic/buffalo_bank_1908.jpg", 0),
        ("historic/1908familyphoto.jpg", 4),
        ("historic/1860girls.jpg", 3),
        ("kodak/07.png", 0),
        ("kodak/15.png", 1),
        ("kodak/19.png", 0),
        ("kodak/23.png", 0),
    ],
)
def test_faces_of_historic_streets_and_kodak(
    dlib_detector: DlibDetector, shared: Path, name: str, count: int
) -> None:
    assert len(faces_in(dlib_detector, read(shared / "photos/test" / name))) == count
