"""Faces of old photos: alignment, restoration, paste and report."""

import dataclasses
from typing import Any, cast

import numpy as np
import pytest
from oldphotofakes import (
    MODES,
    FixedDetector,
    context_of,
    face_at,
    fake,
    model_of,
    restore_old_photo,
    waves,
)
from skimage import transform

from restore.faces.face import Face
from restore.pipelines.context import StepContext
from restore.pipelines.official import OfficialRules
from restore.pipelines.old_photo_alignment import (
    TEMPLATE,
    cut_face,
    face_to_photo,
    five_landmarks,
)
from restore.pipelines.rules import PixelRules


def shapes_of_detector(context: StepContext) -> list[tuple[int, ...]]:
    assert isinstance(context.detector, FixedDetector)
    return context.detector.shapes


@pytest.mark.parametrize(("rules", "faces"), [(OfficialRules(), 1), (PixelRules(), 0)])
def test_only_official_rules_restore_a_doubtful_face(rules: PixelRules, faces: int) -> None:
    doubtful = dataclasses.replace(face_at(60, 64, 80), score=0.3)
    context = context_of(model_of(), doubtful, rules=rules)
    restore_old_photo(waves(160, 128), context, with_face=True)
    assert len(context.report.faces) == faces
    assert context.report.face_restoration_applied is bool(faces)
    assert len(shapes_of_detector(context)) == (1 if faces else 4)


@pytest.mark.parametrize("mode", MODES)
def test_face_is_restored_in_its_place_and_nothing_else_changes(mode: str) -> None:
    ramp = np.linspace(10, 90, 160)[None, :, None]
    pixels = np.repeat(ramp, 128, 0).repeat(3, 2).astype(np.uint8)
    before = restore_old_photo(pixels, context_of(model_of(mode)), **MODES[mode]).pixels
    model = model_of(mode)
    context = context_of(model, face_at(60, 64, 80))
    after = restore_old_photo(pixels, context, with_face=True, **MODES[mode]).pixels
    outside = np.ones((128, 160), bool)
    outside[24:104, 20:100] = False
    np.testing.assert_array_equal(after[outside], before[outside])
    # The network shifted the face by 5 pixels, and the histogram is that of the face before.
    np.testing.assert_allclose(after[64, 45:86].astype(int), before[64, 40:81], atol=1)
    [area] = context.changed_areas
    assert area.shape == pixels.shape[:2]
    assert area[(after != before).any(axis=2)].all()
    assert not area[:20].any()
    [face] = fake(model, "face_generator").inputs
    side_px = 512 if mode == "scratch_hr" else 256
    assert face.shape == (1, 3, side_px, side_px)
    report = context.report
    assert report.face_detector == "fixed"
    assert report.face_restoration_applied is True
    assert report.warnings == []
    assert report.faces == [
        {
            "index": 0,
            "box": [20.0, 24.0, 100.0, 104.0],
            "score": 0.9,
            "size_px": 80.0,
            "restored": True,
            "reason": "",
        }
    ]


def test_several_faces_are_restored_also_at_the_border() -> None:
    pixels = waves(200, 120)
    before = restore_old_photo(pixels, context_of(model_of())).pixels
    context = context_of(model_of(), face_at(0, 60, 80), face_at(150, 119, 80))
    after = restore_old_photo(pixels, context, with_face=True).pixels
    assert (after[40:80, :20] != before[40:80, :20]).any()
    assert (after[100:, 140:160] != before[100:, 140:160]).any()
    np.testing.assert_array_equal(after[:78, 41:], before[:78, 41:])
    assert [face["restored"] for face in context.report.faces] == [True, True]


def test_report_gives_faces_in_pixels_of_the_photo() -> None:
    context = context_of(model_of(), face_at(1536, 16, 30))
    restore_old_photo(waves(6144, 64), context, with_face=True)
    assert shapes_of_detector(context) == [(32, 3072, 3)]
    assert context.report.faces[0]["box"] == [3042.0, 2.0, 3102.0, 62.0]
    assert context.report.faces[0]["size_px"] == 60.0


BOX = (10.0, 10.0, 50.0, 50.0)
LANDMARKS_ON_ONE_SPOT = Face(BOX, 0.9, np.full((5, 2), 30.0))
NAN_LANDMARKS = Face(BOX, 0.9, np.full((5, 2), np.nan))


@pytest.mark.parametrize(
    ("face", "reason"),
    [
        (LANDMARKS_ON_ONE_SPOT, "no transform"),
        (NAN_LANDMARKS, "no transform"),
        (face_at(900, 60, 80), "outside"),
        (face_at(60, -90, 80), "outside"),
    ],
)
def test_unusable_face_is_not_restored_and_reported(face: Face, reason: str) -> None:
    model, pixels = model_of(), waves(160, 128)
    context = context_of(model, face)
    result = restore_old_photo(pixels, context, with_face=True).pixels
    np.testing.assert_array_equal(result, pixels)
    assert fake(model, "face_generator").inputs == []
    assert context.report.faces[0]["restored"] is False
    assert reason in str(context.report.faces[0]["reason"])
    assert context.report.face_restoration_applied is False
    warning = "none of 1 faces was restored"
    assert any(warning in text for text in context.report.warnings)


def test_without_with_face_none_are_detected() -> None:
    context = context_of(model_of(), face_at(60, 64, 80))
    result = restore_old_photo(waves(160, 128), context, with_face=False).pixels
    np.testing.assert_array_equal(result, waves(160, 128))
    assert shapes_of_detector(context) == []
    assert (context.report.faces, context.report.face_detector) == ([], "")


def test_photo_without_faces_is_restored_with_a_warning() -> None:
    context = context_of(model_of())
    result = restore_old_photo(waves(160, 128), context, with_face=True).pixels
    np.testing.assert_array_equal(result, waves(160, 128))
    assert context.report.warnings == ["no face was found"]
    assert context.report.face_restoration_applied is False


@pytest.mark.parametrize(
    ("place", "side_px"),
    [((200, 150), 90.0), ((20, 30), 130.0), ((390, 280), 300.0), ((210.3, 149.6), 30.5)],
)
def test_cutting_a_region_equals_warping_the_whole_photo(
    place: tuple[float, float], side_px: float
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    rotation = np.array([[0.9, 0.4], [-0.4, 0.9]])
    matrix = face_to_photo(face_at(0, 0, side_px).landmarks @ rotation + place, 256)
    assert matrix is not None
    affine = cast(Any, transform).AffineTransform(np.vstack([matrix, (0.0, 0.0, 1.0)]))
    expected = cast(Any, transform).warp(
        pixels, affine, output_shape=(256, 256), order=1, preserve_range=True
    )
    np.testing.assert_allclose(cut_face(pixels, matrix, 256), expected, atol=1e-8)


def test_landmarks_of_dlib_use_the_corners_of_the_eyes() -> None:
    outline = np.stack([np.arange(68.0), np.arange(68.0) ** 2 / 8], axis=1)
    landmarks = five_landmarks(Face((0.0, 0.0, 9.0, 9.0), 0.9, TEMPLATE, outline))
    expected = [
        (37, (36**2 + 39**2) / 16),
        (43, (42**2 + 45**2) / 16),
        (30, 30**2 / 8),
        (48, 48**2 / 8),
        (54, 54**2 / 8),
    ]
    np.testing.assert_array_equal(landmarks, np.floor(expected))


def test_landmarks_without_outline_are_used_as_they_are() -> None:
    face = Face((0.0, 0.0, 9.0, 9.0), 0.9, TEMPLATE)
    np.testing.assert_array_equal(five_landmarks(face), TEMPLATE)
