"""Faces that do not fit are not restored; restored faces that are damaged are not pasted."""

import dataclasses
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from facefakes import (
    ASTRONAUT,
    FixedDetector,
    contexts_of,
    degrade,
    face_at,
    official_model,
)
from oldphotofakes import context_of, model_of, restore_old_photo, waves
from oldphotofakes import face_at as old_photo_face_at

from restore import Inputs, Restorer
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.options import FaceRestoreOptions
from restore.pipelines.context import StepContext
from restore.pipelines.face_restore import run_face_restore
from restore.pipelines.harm_check import check_harm
from restore.pipelines.official import OfficialRules
from restore.pipelines.rules import PixelRules

FACE = face_at(128, 110, 60)
RESTORE_FACES = "restore.pipelines.face_batches.restore_faces"


def paint(level: float) -> Any:
    """Return a face network whose output is flat."""
    return lambda faces, model, fidelity: torch.full_like(faces, level)


def convert(pixels: np.ndarray, kind: str) -> np.ndarray:
    if kind.startswith("grey"):
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return pixels.astype(np.uint16) * 257 if kind.endswith("16") else pixels


@pytest.mark.parametrize("kind", ["colour", "colour 16", "grey", "grey 16"])
@pytest.mark.parametrize("scale", [1, 2])
def test_flat_output_is_not_pasted(monkeypatch: pytest.MonkeyPatch, kind: str, scale: int) -> None:
    pixels = convert(ASTRONAUT, kind)
    photo, options = Photo("0", pixels), FaceRestoreOptions(face_upscale=scale)
    model = official_model("gfpgan_v1.4")
    [without] = run_face_restore([photo], options, contexts_of(model, FixedDetector()))
    monkeypatch.setattr(RESTORE_FACES, paint(0.0))
    [context] = contexts_of(model, FixedDetector(FACE))
    [result] = run_face_restore([photo], options, [context])
    np.testing.assert_array_equal(result.pixels, without.pixels)
    report = context.report
    assert report.face_restoration_applied is False
    assert report.faces[0]["restored"] is False
    assert "brightness" in str(report.faces[0]["reason"])
    assert any("a restored face was not used" in warning for warning in report.warnings)
    assert context.changed_areas == []


def test_official_rules_paste_whatever_the_network_returns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(RESTORE_FACES, paint(0.0))
    weak = FixedDetector(dataclasses.replace(FACE, score=0.1))
    [context] = contexts_of(official_model("gfpgan_v1.4"), weak)
    context = dataclasses.replace(context, rules=OfficialRules())
    [result] = run_face_restore([Photo("0", ASTRONAUT)], FaceRestoreOptions(), [context])
    assert result.pixels[110, 128].max() == 0
    assert context.report.warnings == []


def test_aligned_photo_with_flat_output_is_returned_unchanged(
    monkeypatch: pytest.MonkeyPatch, face_net: Model
) -> None:
    monkeypatch.setattr(RESTORE_FACES, paint(0.5))
    [context] = contexts_of(face_net, FixedDetector())
    options = FaceRestoreOptions(has_aligned=True)
    [result] = run_face_restore([Photo("0", ASTRONAUT)], options, [context])
    np.testing.assert_array_equal(result.pixels, ASTRONAUT)
    assert context.report.face_restoration_applied is False
    assert context.report.faces[0]["restored"] is False
    assert len(context.report.warnings) == 1


def test_changed_area_covers_every_changed_pixel(face_net: Model) -> None:
    [context] = contexts_of(face_net, FixedDetector(FACE, face_at(10, 240, 40)))
    pixels = degrade(ASTRONAUT)
    [result] = run_face_restore([Photo("0", pixels)], FaceRestoreOptions(), [context])
    [area] = context.changed_areas
    changed = (result.pixels != pixels).any(axis=2)
    assert changed.any()
    assert area.shape == changed.shape
    assert area[changed].all()
    assert area.mean() < 0.6


@pytest.mark.parametrize("task", ["face_restore", "enhance", "old_photo_restore"])
def test_area_of_faces_is_recorded_in_every_task(
    monkeypatch: pytest.MonkeyPatch, lite: Restorer, task: str
) -> None:
    """The harm check looks at the rest, so that it does not mistake faces for damage."""
    areas: list[np.ndarray] = []

    def record(before: Photo, after: Photo, *arguments: Any, **options: Any) -> Photo:
        context: StepContext = arguments[1]
        areas.extend(context.changed_areas)
        return check_harm(before, after, *arguments, **options)

    monkeypatch.setattr("restore.pipelines.step_runs.check_harm", record)
    report = lite.run(task, [Photo("a", degrade(ASTRONAUT))]).reports[0]
    assert report.face_restoration_applied
    assert report.status == "done"
    [area] = areas
    assert area[110, 128], "the face is not in its area"
    assert 0.01 < area.mean() < 0.8


@pytest.mark.parametrize("quarters", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "detector", "max_difference", "max_mean"),
    # CenterFace finds rotated faces without turning the photo, with slightly different landmarks.
    [("colour", "dlib", 2, 0.1), ("grey 16", "dlib", 2, 0.1), ("colour", "centerface", 30, 0.5)],
)
def test_faces_of_a_rotated_photo_are_restored_in_place(
    lite: Restorer, quarters: int, kind: str, detector: str, max_difference: int, max_mean: float
) -> None:
    upright = convert(degrade(ASTRONAUT), kind)
    rotated = np.ascontiguousarray(np.rot90(upright, quarters))
    options = cast(Inputs, {"face_detector": detector})
    expected = lite.run("face_restore", [Photo("a", upright)], **options).photos[0].pixels
    results = lite.run("face_restore", [Photo("a", rotated)], **options)
    result, report = results.photos[0].pixels, results.reports[0]
    levels = np.iinfo(upright.dtype).max / 255
    difference = np.abs(np.rot90(result, -quarters) / levels - expected / levels)
    assert difference.max() <= max_difference
    assert difference.mean() < max_mean
    assert (np.abs(result / levels - rotated / levels) > 8).any()
    [face] = report.faces
    assert (face["restored"], face["rotation"]) == (True, 90 * quarters)
    [warning] = report.warnings
    assert f"turned by {90 * quarters} degrees clockwise" in warning


def test_upright_photo_has_no_rotation_and_no_warning(lite: Restorer) -> None:
    report = lite.run("face_restore", [Photo("a", degrade(ASTRONAUT))]).reports[0]
    assert "rotation" not in report.faces[0]
    assert report.warnings == []


def test_one_rotated_face_among_upright_ones_gives_no_warning(face_net: Model) -> None:
    [context] = contexts_of(face_net, FixedDetector(FACE, face_at(60, 220, 30, tilt_deg=90)))
    run_face_restore([Photo("0", degrade(ASTRONAUT))], FaceRestoreOptions(), [context])
    assert [face.get("rotation") for face in context.report.faces] == [None, 270]
    assert context.report.warnings == []


@pytest.mark.parametrize(("rules", "is_pasted"), [(PixelRules(), False), (OfficialRules(), True)])
def test_another_picture_is_not_pasted_into_an_old_photo(
    rules: PixelRules, is_pasted: bool
) -> None:
    model = model_of()
    model.partners["face_generator"].forward = lambda faces: faces.flip(-1)
    context = context_of(model, old_photo_face_at(60, 64, 80), rules=rules)
    ramp = np.repeat(np.linspace(0, 250, 160)[None, :, None], 128, 0).repeat(3, 2)
    pixels = ramp.astype(np.uint8)
    plain = context_of(model_of(), rules=rules)
    before = restore_old_photo(pixels, plain).pixels
    after = restore_old_photo(pixels, context, with_face=True).pixels
    assert (after != before).any() == is_pasted
    assert context.report.face_restoration_applied is is_pasted
    assert any("not used" in warning for warning in context.report.warnings) is not is_pasted


def test_rotated_old_photo_is_reported() -> None:
    face = old_photo_face_at(60, 64, 80)
    center = np.array([60, 64])
    turned = (face.landmarks - center) @ np.array([[0, 1], [-1, 0]]) + center
    context = context_of(model_of(), dataclasses.replace(face, landmarks=turned))
    restore_old_photo(waves(160, 128), context, with_face=True)
    assert context.report.faces[0]["rotation"] == 270
    assert any("seems to be rotated" in warning for warning in context.report.warnings)
