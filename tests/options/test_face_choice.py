"""The option faces: its values, and options that contradict it."""

from typing import Any

import numpy as np
import pytest

from restore.errors import Code, RestoreError
from restore.options import FaceChoice, Request, Step, parse_faces


@pytest.mark.parametrize(
    ("value", "choice"),
    [
        ("all", FaceChoice()),
        ("", FaceChoice()),
        (" Largest ", FaceChoice(one_of="largest")),
        ("center", FaceChoice(one_of="center")),
        ("0,2", FaceChoice(frozenset({0, 2}))),
        ("[3, 1]", FaceChoice(frozenset({1, 3}))),
        (2, FaceChoice(frozenset({2}))),
        ([0, 4], FaceChoice(frozenset({0, 4}))),
        (np.array([0, 4]), FaceChoice(frozenset({0, 4}))),
        ([np.int64(3)], FaceChoice(frozenset({3}))),
        (np.int64(2), FaceChoice(frozenset({2}))),
        ([], FaceChoice()),
        ("[]", FaceChoice()),
    ],
)
def test_values(value: object, choice: FaceChoice) -> None:
    options = Request.from_inputs("enhance", {"faces": value}).options
    for task in ("face_restore", "enhance", "upscale", "old_photo_restore"):
        assert parse_faces(options[task].faces) == choice


@pytest.mark.parametrize(
    "value", ["-1", "0,", "[1", "1]", "first", "1.5", True, [True], ["0"], {}, np.array([1.5])]
)
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(RestoreError, match=r"faces is .*(largest|not allowed)") as caught:
        Request.from_inputs("face_restore", {"faces": value})
    assert caught.value.code is Code.OPTION_INVALID


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"faces": "0", "face_points": "[[1, 2]]"}, "faces is '0', and face_points"),
        ({"faces": "largest", "only_center_face": True}, "only_center_face is true"),
    ],
)
def test_contradictory_options_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RestoreError, match=words) as caught:
        Request.from_inputs("face_restore", options)
    assert caught.value.code is Code.OPTION_INVALID


@pytest.mark.parametrize(
    "options",
    [
        {"faces": "0", "face_points": "[]"},
        {"faces": "center", "only_center_face": True},
        {"faces": "largest", "face_points": "[[1, 2]]"},
        {"faces": "0,1", "only_center_face": True},
    ],
)
def test_options_that_combine(options: dict[str, Any]) -> None:
    assert Request.from_inputs("face_restore", options).given == options.keys()


def test_faces_has_no_effect_without_faces() -> None:
    def reasons(task: Step, **options: object) -> Any:
        return Request.from_inputs(task, options).options[task].without_effect()

    assert reasons("upscale")["faces"] == "face_enhance is not set"
    assert "faces" not in reasons("upscale", face_enhance=True)
    assert reasons("face_restore", has_aligned=True)["faces"] == "has_aligned is set"
    assert reasons("old_photo_restore", with_face=False)["faces"] == "with_face is false"
