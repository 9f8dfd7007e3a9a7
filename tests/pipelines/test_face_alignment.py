"""Which detected faces are restored, and what the report says about the others."""

import dataclasses

import cv2
import numpy as np
import pytest
from facefakes import (
    ASTRONAUT,
    FixedDetector,
    RecordingNetwork,
    contexts_of,
    degrade,
    face_at,
    official_model,
    restore_one,
)

from restore.faces.align import estimate_similarity
from restore.faces.face import Face
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.options import FaceRestoreOptions, choices_of
from restore.pipelines.face_alignment import detect_faces
from restore.pipelines.face_restore import run_face_restore
from restore.pipelines.official import OfficialRules
from restore.pipelines.rules import PixelRules


def face_on_a_line() -> Face:
    """Return a face whose landmarks are on one line, so that they give no transform."""
    line = np.linspace(20, 120, 5)
    return Face((20, 20, 120, 120), 0.9, np.stack([line, line], 1))


def test_face_of_20_pixels_is_restored_unless_min_face_px_excludes_it(face_net: Model) -> None:
    small = cv2.resize(ASTRONAUT, (48, 48), interpolation=cv2.INTER_AREA)
    _, report = restore_one(face_net, small, face_at(24, 22, 20))
    assert report.faces[0]["restored"] is True
    photo, report = restore_one(face_net, small, face_at(24, 22, 20), min_face_px=24)
    assert report.faces[0] == {
        "index": 0,
        "box": [14.0, 12.0, 34.0, 32.0],
        "score": 0.99,
        "size_px": 20.0,
        "restored": False,
        "reason": "its 20 pixels are less than min_face_px 24",
    }
    assert any("none of 1 faces was restored" in warning for warning in report.warnings)
    np.testing.assert_array_equal(photo.pixels, small)


@pytest.mark.parametrize(
    ("rules", "scores", "searches"), [(OfficialRules(), [0.5], 1), (PixelRules(), [], 4)]
)
def test_official_rules_take_every_detection_and_turn_no_photo(
    rules: PixelRules, scores: list[float], searches: int
) -> None:
    detector = FixedDetector(dataclasses.replace(face_at(120, 110, 60), score=0.5))
    [context] = contexts_of(official_model("codeformer"), detector)
    found = detect_faces(ASTRONAUT, dataclasses.replace(context, rules=rules))
    assert [each.face.score for each in found] == scores
    assert len(detector.calls) == searches


def test_face_with_eyes_too_close_is_not_restored(face_net: Model) -> None:
    _, report = restore_one(face_net, ASTRONAUT, face_at(24, 22, 4))
    assert "less than 5" in str(report.faces[0]["reason"])


def test_face_without_a_transform_is_not_restored(face_net: Model) -> None:
    photo, report = restore_one(face_net, ASTRONAUT, face_on_a_line(), face_at(120, 110, 60))
    assert [face["restored"] for face in report.faces] == [False, True]
    assert "no transform" in str(report.faces[0]["reason"])
    assert (photo.pixels != ASTRONAUT).any()


def test_face_outside_of_the_photo_and_face_with_nan_are_not_restored(face_net: Model) -> None:
    outside = face_at(900, 900, 40)
    with_nan = Face((np.nan, 0, 10, 10), 0.9, face_at(100, 100, 30).landmarks)
    photo, report = restore_one(face_net, ASTRONAUT, outside, with_nan)
    assert [face["reason"] for face in report.faces] == ["it lies outside of the photo"]
    assert report.face_restoration_applied is False
    np.testing.assert_array_equal(photo.pixels, ASTRONAUT)


@pytest.mark.parametrize("tilt_deg", [-170, -45, 30, 90])
def test_tilted_face_is_restored(face_net: Model, tilt_deg: float) -> None:
    face = face_at(128, 110, 60, tilt_deg)
    assert estimate_similarity(face.landmarks) is not None
    _, report = restore_one(face_net, degrade(ASTRONAUT), face)
    assert report.face_restoration_applied


def test_face_in_profile_is_restored(face_net: Model) -> None:
    face = face_at(128, 110, 60)
    narrow = (face.landmarks - (128, 110)) * (0.3, 1) + (128, 110)
    _, report = restore_one(face_net, ASTRONAUT, dataclasses.replace(face, landmarks=narrow))
    assert report.face_restoration_applied


def test_only_center_face_restores_the_face_nearest_to_the_centre(face_net: Model) -> None:
    faces = [face_at(40, 40, 30), face_at(120, 118, 30), face_at(220, 200, 30)]
    _, report = restore_one(face_net, ASTRONAUT, *faces, only_center_face=True)
    assert [face["restored"] for face in report.faces] == [False, True, False]
    assert "nearer to the centre" in str(report.faces[0]["reason"])


def test_only_center_face_ignores_faces_that_cannot_be_restored(face_net: Model) -> None:
    faces = [face_on_a_line(), face_at(60, 60, 40), face_at(5, 5, 40)]
    _, report = restore_one(face_net, ASTRONAUT, *faces, only_center_face=True)
    assert [face["restored"] for face in report.faces] == [False, True, False]


@pytest.mark.parametrize(
    ("variant", "call"),
    [("codeformer", (640, 0.8)), ("gfpgan_v1.4", (None, 0.97)), ("restoreformer", (None, 0.97))],
)
def test_detector_is_called_as_by_the_official_helper(
    monkeypatch: pytest.MonkeyPatch, variant: str, call: tuple[int | None, float]
) -> None:
    monkeypatch.setattr("restore.pipelines.face_batches.restore_faces", RecordingNetwork())
    detector = FixedDetector(face_at(128, 110, 60))
    contexts = contexts_of(official_model(variant), detector)
    run_face_restore([Photo("0", ASTRONAUT)], FaceRestoreOptions(), contexts)
    assert detector.calls == [call]


def test_every_face_model_has_a_convention_and_a_parser_in_the_manifest() -> None:
    catalog = Catalog.load()
    for variant in set(choices_of(FaceRestoreOptions, "face_model")) - {"auto"}:
        row, *partners = catalog.group("face_restore", variant)
        assert row.face_convention == ("codeformer" if variant == "codeformer" else "facexlib")
        assert row.difference is (variant == "lite")
        assert [partner.role for partner in partners] == ([] if variant == "lite" else ["parser"])
