"""The second detection of faces in their aligned crop."""

import dataclasses

import numpy as np
import pytest
from facefakes import ASTRONAUT, FixedDetector, aligned_face, face_at
from skimage import data

from restore.faces.detect import DlibDetector
from restore.faces.face import Face
from restore.faces.fit import CHECK_PX, MISPLACED, NO_TRANSFORM, NOT_FOUND_AGAIN, check_face
from restore.faces.rotation import QUARTERS, turn_face_back
from restore.faces.search import find_faces

FACE = face_at(128, 110, 60)


class ScriptedDetector(FixedDetector):
    """Finds in each aligned crop what the next function of a list returns for its rotation."""

    def __init__(self, *rounds: dict[int, Face]) -> None:
        super().__init__()
        self.rounds = list(rounds)
        self.turns = 0

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        assert pixels.shape == (CHECK_PX, CHECK_PX, 3)
        round_index, quarters = divmod(self.turns, QUARTERS)
        self.turns += 1
        found = self.rounds[min(round_index, len(self.rounds) - 1)].get(quarters)
        return [found] if found else []


def again(score: float, shift_px: float = 0.0, tilt_deg: float = 0.0) -> Face:
    """Return a face in a small crop, `shift_px` of the 512x512 crop away from its place."""
    face = aligned_face(CHECK_PX)
    center = np.array([CHECK_PX / 2, CHECK_PX / 2])
    angle = np.deg2rad(tilt_deg)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (face.landmarks - center) @ rotation.T + center
    return dataclasses.replace(face, score=score, landmarks=points + np.array([shift_px / 2, 0]))


def test_face_found_in_its_place_fits() -> None:
    detector = ScriptedDetector({0: again(0.99, 20)})
    checked = check_face(FACE, ASTRONAUT, detector)
    assert (checked.face, checked.reason) == (FACE, "")
    assert detector.turns == 1


def test_sure_face_is_not_searched_again() -> None:
    sure = dataclasses.replace(FACE, score=0.999)
    detector = ScriptedDetector({})
    assert check_face(sure, ASTRONAUT, detector).reason == ""
    assert detector.turns == 0
    assert check_face(sure, ASTRONAUT, detector, always=True).reason == NOT_FOUND_AGAIN


@pytest.mark.parametrize("doubt", ["score", "tilt", "landmarks"])
def test_doubtful_face_is_searched_again(doubt: str) -> None:
    face = {
        "score": FACE,
        "tilt": dataclasses.replace(face_at(128, 110, 60, 40), score=0.999),
        "landmarks": dataclasses.replace(
            FACE, score=0.999, landmarks=(FACE.landmarks - (128, 110)) * (0.3, 1) + (128, 110)
        ),
    }[doubt]
    assert check_face(face, ASTRONAUT, ScriptedDetector({})).reason == NOT_FOUND_AGAIN


def test_face_that_stays_misplaced_does_not_fit() -> None:
    detector = ScriptedDetector({0: again(0.99, 80)})
    assert check_face(FACE, ASTRONAUT, detector).reason == MISPLACED


def test_face_found_in_another_place_is_aligned_by_the_new_landmarks() -> None:
    detector = ScriptedDetector({0: again(0.99, 80)}, {0: again(0.99)})
    checked = check_face(FACE, ASTRONAUT, detector)
    assert checked.reason == ""
    # 160 pixels of the crop are 60 of the photo.
    np.testing.assert_allclose(checked.face.landmarks, FACE.landmarks + np.array([30, 0]), atol=0.3)
    assert (checked.face.box, checked.face.score) == (FACE.box, FACE.score)


def test_better_face_in_the_turned_crop_wins() -> None:
    """A face that is upside down was taken for an upright one."""
    detector = ScriptedDetector({0: again(0.92), 2: again(1.0)}, {0: again(1.0)})
    checked = check_face(FACE, ASTRONAUT, detector)
    assert checked.reason == ""
    upside_down = turn_face_back(aligned_face(CHECK_PX), 2, CHECK_PX, CHECK_PX)
    crop_px = 512 / CHECK_PX * upside_down.landmarks
    expected = (crop_px - 256) / 160 * 60 + (128, 110)
    np.testing.assert_allclose(checked.face.landmarks, expected, atol=0.3)


def test_weak_second_detection_is_none() -> None:
    detector = ScriptedDetector({0: again(0.8)})
    assert check_face(FACE, ASTRONAUT, detector).reason == NOT_FOUND_AGAIN


def test_landmarks_without_transform_do_not_fit() -> None:
    face = dataclasses.replace(FACE, landmarks=np.full((5, 2), 3.0))
    assert check_face(face, ASTRONAUT, ScriptedDetector({})).reason == NO_TRANSFORM


def test_emblem_is_no_face_for_dlib() -> None:
    found = find_faces(DlibDetector(), data.astronaut(), short_side_px=None, threshold=0.8)
    assert [(round(each.face.score, 1), each.reason) for each in found] == [
        (0.8, ""),
        (0.5, NOT_FOUND_AGAIN),
    ]
