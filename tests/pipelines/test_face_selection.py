"""The option face_points in every task that restores faces."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from facefakes import ASTRONAUT, FixedDetector, contexts_of, degrade, face_at
from oldphotofakes import context_of, model_of, restore_old_photo, waves
from oldphotofakes import face_at as old_face_at

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.faces.face import Face
from restore.faces.points import FacePoints
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.options import FaceRestoreOptions
from restore.pipelines.face_restore import run_face_restore
from restore.pipelines.face_selection import (
    NOT_CONTAINED,
    NOT_LARGEST,
    NOT_NUMBERED,
    keep_one_face,
)
from restore.report import Report

SMALL = degrade(np.ascontiguousarray(ASTRONAUT[20:180, 50:210]))
TWO_FACES = np.concatenate([SMALL, SMALL], axis=1)
"""320x160; the faces are around LEFT and RIGHT."""
LEFT, RIGHT = (76.0, 72.0), (236.0, 72.0)


def restored_centers(report: Report) -> list[float]:
    """Return the x coordinates of the restored faces, in fractions of the photo's width."""
    size = report.input["width"]
    assert isinstance(size, int)
    boxes: list[Any] = [face["box"] for face in report.faces if face["restored"]]
    return sorted((left + right) / 2 / size for left, _, right, _ in boxes)


@pytest.mark.parametrize(
    ("task", "options"),
    [
        ("face_restore", {"face_upscale": 1}),
        ("enhance", {"scale": 1}),
        ("upscale", {"scale": 1.5, "face_enhance": True}),
        ("old_photo_restore", {"with_scratch": False}),
    ],
)
def test_only_the_faces_that_contain_a_point_are_restored(
    lite: Restorer, task: str, options: dict[str, Any]
) -> None:
    photo = Photo("two.png", TWO_FACES)
    report = lite.run(task, photo, face_points=[RIGHT], **options).reports[0]
    assert [face["restored"] for face in report.faces].count(False) == 1
    assert NOT_CONTAINED in [face["reason"] for face in report.faces]
    assert restored_centers(report) == [pytest.approx(RIGHT[0] / 320, abs=0.05)]
    assert report.warnings == []


def test_the_other_face_does_not_change(lite: Restorer) -> None:
    photo = Photo("two.png", TWO_FACES)
    left, right, both = (
        lite.run("face_restore", photo, face_points=points).photos[0].pixels
        for points in ([LEFT], f"[{list(RIGHT)}]", "[]")
    )
    np.testing.assert_array_equal(left[:, 160:], TWO_FACES[:, 160:])
    np.testing.assert_array_equal(right[:, :160], TWO_FACES[:, :160])
    np.testing.assert_array_equal(both[:, :160], left[:, :160])
    np.testing.assert_array_equal(both[:, 160:], right[:, 160:])
    assert (left[:, :160] != TWO_FACES[:, :160]).any()
    assert (right[:, 160:] != TWO_FACES[:, 160:]).any()


def test_points_follow_the_photo_through_a_pipeline(lite: Restorer) -> None:
    photo = Photo("two.png", TWO_FACES)
    options: dict[str, Any] = {"steps": "upscale,face_restore", "scale": 2, "grain": False}
    report = lite.run("pipeline", photo, face_points=[LEFT], **options).reports[0]
    boxes: list[Any] = [face["box"] for face in report.faces if face["restored"]]
    [(left, _, right, _)] = boxes
    assert (left + right) / 2 == pytest.approx(2 * LEFT[0], abs=32)
    assert [face["reason"] for face in report.faces if not face["restored"]] == [NOT_CONTAINED]


def test_point_outside_of_a_photo_is_refused(lite: Restorer) -> None:
    photos = [
        Photo("wide.png", np.zeros((20, 90, 3), np.uint8)),
        Photo("narrow.png", SMALL[:, :40]),
    ]
    message = (
        r"photo 'narrow\.png': the points \[41, 3\.5\], \[60, 7\] of face_points lie outside of the"
        r" photo, which is 40x160"
    )
    with pytest.raises(RestoreError, match=message) as caught:
        lite.run("enhance", photos, face_points=[[41, 3.5], [40, 20], [60, 7]])
    assert caught.value.code is Code.OPTION_INVALID
    assert "x from 0 to 40" in caught.value.remedy


def restore(
    model: Model, *faces: Face, points: tuple[tuple[float, float], ...], **options: Any
) -> Report:
    """Run face_restore on ASTRONAUT with these faces."""
    [context] = contexts_of(model, FixedDetector(*faces))
    context = dataclasses.replace(context, face_points=FacePoints(points, 256, 256))
    photos = [Photo("0.png", ASTRONAUT)]
    run_face_restore(photos, FaceRestoreOptions.model_validate(options), [context])
    return context.report


def test_point_without_a_face_gives_a_warning(face_net: Model) -> None:
    points = ((120.0, 110.0), (5.0, 7.5), (250.0, 9.0))
    report = restore(face_net, face_at(120, 110, 60), points=points)
    assert report.warnings == ["no face contains the points [5, 7.5], [250, 9] of face_points"]
    assert report.face_restoration_applied is True


def test_many_points_without_a_face_are_counted(face_net: Model) -> None:
    report = restore(face_net, points=tuple((float(x), 1.0) for x in range(9)))
    assert "[4, 1] and 4 more of face_points" in report.warnings[-1] + report.warnings[0]
    assert any("no face was found" in warning for warning in report.warnings)


def test_selected_face_that_is_not_restored_gives_a_warning(face_net: Model) -> None:
    faces = [face_at(120, 110, 60), face_at(220, 210, 20)]
    report = restore(face_net, *faces, points=((220.0, 210.0),), min_face_px=30)
    reason = "its 20 pixels are less than min_face_px 30"
    assert report.warnings == [
        f"none of 2 faces was restored: {reason}",
        f"the face with the number 1, which face_points selects, was not restored: {reason}",
    ]


def test_center_face_is_chosen_among_the_selected_ones(face_net: Model) -> None:
    faces = [face_at(128, 128, 40), face_at(60, 60, 40), face_at(30, 200, 40)]
    points = ((60.0, 60.0), (30.0, 200.0))
    report = restore(face_net, *faces, points=points, only_center_face=True)
    assert [face["restored"] for face in report.faces] == [False, True, False]


def restore_old(*faces: Face, point: tuple[float, float]) -> Report:
    """Run old_photo_restore on a photo of 243x130 pixels with these faces."""
    context = context_of(model_of("quality"), *faces)
    context = dataclasses.replace(context, face_points=FacePoints((point,), 243, 130))
    restore_old_photo(waves(243, 130), context, with_face=True)
    return context.report


def test_faces_of_an_old_photo_are_compared_at_the_size_of_the_photo() -> None:
    """The networks see the photo at a multiple of 4 pixels."""
    faces = [old_face_at(60, 64, 60), old_face_at(180, 64, 60)]
    report = restore_old(*faces, point=(180, 64))
    assert [face["restored"] for face in report.faces] == [False, True]
    assert report.warnings == []
    boxes: list[Any] = [face["box"] for face in report.faces]
    bottom = boxes[0][3]
    assert bottom != 94
    for y, is_restored in ((bottom - 0.2, True), (bottom + 0.2, False)):
        report = restore_old(*faces, point=(60, y))
        assert [face["restored"] for face in report.faces] == [is_restored, False]


def test_selected_face_of_an_old_photo_that_is_not_restored_gives_a_warning() -> None:
    unusable = dataclasses.replace(old_face_at(60, 64, 60), landmarks=np.full((5, 2), 60.0))
    report = restore_old(old_face_at(180, 64, 60), unusable, point=(60, 64))
    assert [face["restored"] for face in report.faces] == [False, False]
    assert len(report.warnings) == 2
    assert report.warnings[0].startswith("none of 2 faces was restored: its landmarks")
    assert "number 0, which face_points selects, was not restored: its" in report.warnings[1]


THREE = (face_at(200, 60, 50), face_at(60, 70, 30), face_at(120, 140, 40))
"""Numbers 2, 0 and 1."""


def restore_three(
    face_net: Model, points: tuple[tuple[float, float], ...] = (), **options: Any
) -> Report:
    if points:
        return restore(face_net, *THREE, points=points, **options)
    [context] = contexts_of(face_net, FixedDetector(*THREE))
    options_of_step = FaceRestoreOptions.model_validate(options)
    run_face_restore([Photo("0.png", ASTRONAUT)], options_of_step, [context])
    return context.report


@pytest.mark.parametrize(
    ("options", "restored"),
    [
        ({}, [0, 1, 2]),
        ({"faces": "0,2"}, [0, 2]),
        ({"faces": "largest"}, [2]),
        ({"faces": "center"}, [1]),
        ({"faces": "0,2", "only_center_face": True}, [0]),
        ({"faces": "largest", "points": ((60.0, 70.0), (120.0, 140.0))}, [1]),
        ({"faces": "largest", "min_face_px": 10}, [2]),
    ],
)
def test_faces_are_chosen_by_number_size_and_place(
    face_net: Model, options: dict[str, Any], restored: list[int]
) -> None:
    report = restore_three(face_net, **options)
    assert [face["index"] for face in report.faces] == [2, 0, 1]
    assert {face["index"] for face in report.faces if face["restored"]} == set(restored)
    assert report.warnings == []


def test_largest_face_that_can_be_restored_is_chosen(face_net: Model) -> None:
    too_narrow = dataclasses.replace(THREE[0], landmarks=np.full((5, 2), 200.0))
    [context] = contexts_of(face_net, FixedDetector(too_narrow, *THREE[1:]))
    options = FaceRestoreOptions(faces="largest")
    run_face_restore([Photo("0.png", ASTRONAUT)], options, [context])
    assert [face["restored"] for face in context.report.faces] == [False, False, True]
    assert context.report.faces[1]["reason"] == NOT_LARGEST


def test_missing_numbers_give_a_warning(face_net: Model) -> None:
    report = restore_three(face_net, faces="1,3,9")
    assert report.warnings == [
        "faces is '1,3,9', but the photo has no face with the numbers 3, 9: its 3 faces have the "
        "numbers 0 to 2"
    ]
    assert [face["reason"] for face in report.faces] == [NOT_NUMBERED, NOT_NUMBERED, ""]


def test_chosen_number_that_is_not_restored_gives_a_warning(face_net: Model) -> None:
    report = restore_three(face_net, faces="0", min_face_px=35)
    assert "number 0, which faces selects, was not restored: its 30" in report.warnings[1]


def test_only_missing_numbers(face_net: Model) -> None:
    report = restore_three(face_net, faces="7")
    assert report.warnings[1] == "none of 3 faces was restored: none of them is selected"
    none_found = restore(face_net, points=(), faces="7")
    assert [warning[:17] for warning in none_found.warnings] == ["no face was found"]


@pytest.mark.parametrize(("faces", "restored"), [("1", [False, True]), ("largest", [True, False])])
def test_faces_of_an_old_photo_are_chosen(faces: str, restored: list[bool]) -> None:
    context = context_of(model_of("quality"), old_face_at(60, 64, 60), old_face_at(180, 64, 50))
    restore_old_photo(waves(243, 130), context, with_face=True, faces=faces)
    assert [face["restored"] for face in context.report.faces] == restored
    assert [face["index"] for face in context.report.faces] == [0, 1]


@pytest.mark.parametrize(
    ("task", "options"), [("enhance", {"scale": 1}), ("old_photo_restore", {"with_scratch": False})]
)
def test_numbers_are_those_of_inspect(lite: Restorer, task: str, options: dict[str, Any]) -> None:
    [inspected] = lite.run("inspect", Photo("two.png", TWO_FACES)).inspections
    assert [face["index"] for face in inspected.faces] == [0, 1]
    assert all(face["restorable"] for face in inspected.faces)
    report = lite.run(task, Photo("two.png", TWO_FACES), faces=[1], **options).reports[0]
    assert restored_centers(report) == [pytest.approx(RIGHT[0] / 320, abs=0.05)]


def test_largest_face_is_that_with_the_longest_shorter_side() -> None:
    boxes = [(0.0, 0.0, 100.0, 40.0), (200.0, 0.0, 260.0, 60.0), (300.0, 0.0, 340.0, 100.0)]
    reasons = [""] * len(boxes)
    keep_one_face(boxes, (400, 200), reasons, "largest")
    assert reasons == [NOT_LARGEST, "", NOT_LARGEST]
