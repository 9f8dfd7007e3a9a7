"""Points: polygons to fill, and points that select faces."""

import json
from collections.abc import Mapping

import numpy as np
import pytest

from restore.errors import Code, RestoreError
from restore.options import (
    TASK_OPTIONS,
    Request,
    Step,
    parse_face_points,
)


@pytest.mark.parametrize(
    "points",
    [
        [[1, 2], [3.5, 4], [5, 6]],
        ((1, 2), (3.5, 4), (5, 6)),
        np.array([[1, 2], [3.5, 4], [5, 6]]),
        [np.array([1, 2]), [np.float32(3.5), np.int64(4)], (5, 6)],
    ],
    ids=["list", "tuple", "array", "mixed"],
)
def test_points_may_be_arrays(points: object) -> None:
    options = Request.from_inputs("inpaint", {"points": points}).options["inpaint"]
    assert json.loads(options.points) == [[1, 2], [3.5, 4], [5, 6]]


def test_values_that_are_no_points_are_refused() -> None:
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    for points in (3, {"x": 1}, [[1, object()]], nested):
        with pytest.raises(RestoreError, match=r"points is .*Use JSON: a polygon") as caught:
            Request.from_inputs("inpaint", {"points": points})
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("value", "points"),
    [
        (None, ()),
        ("", ()),
        (" ", ()),
        ("[]", ()),
        ([], ()),
        ("[[1, 2.5], [0, 9]]", ((1, 2.5), (0, 9))),
        ([(1, 2.5)], ((1, 2.5),)),
        (np.array([[3, 4]]), ((3, 4),)),
    ],
)
def test_face_points_are_pairs_of_numbers_or_empty(
    value: object, points: tuple[tuple[float, float], ...]
) -> None:
    options = Request.from_inputs("enhance", {"face_points": value}).options
    for task in ("face_restore", "enhance", "upscale", "old_photo_restore"):
        assert parse_face_points(options[task].face_points or "") == points


@pytest.mark.parametrize(
    "value",
    [
        "x",
        "[1, 2]",
        "[[1]]",
        "[[1, 2, 3]]",
        '[["1", 2]]',
        "[[true, 1]]",
        "[[NaN, 1]]",
        "[[1e999, 1]]",
        '{"x": 1}',
        "[" * 5000,
        [[1, 2]] * 1001,
        5,
        [["a", object()]],
    ],
)
def test_other_face_points_are_refused(value: object) -> None:
    with pytest.raises(RestoreError, match=r"face_points is .*not allowed.*\[\[x, y\]") as caught:
        Request.from_inputs("face_restore", {"face_points": value})
    assert caught.value.code is Code.OPTION_INVALID
    assert len(str(caught.value)) < 300


def test_face_points_have_no_effect_without_faces() -> None:
    def reasons(task: Step, **options: bool) -> Mapping[str, str]:
        return TASK_OPTIONS[task].model_validate(options).without_effect()

    assert "face_points" in reasons("upscale")
    assert "face_points" not in reasons("upscale", face_enhance=True)
    assert reasons("face_restore", has_aligned=True)["face_points"] == "has_aligned is set"
    without_faces = reasons("old_photo_restore", with_face=False, with_scratch=False)
    assert without_faces["face_points"] == "with_face is false"
    assert without_faces["return_mask"] == "with_scratch is false"
    assert reasons("old_photo_restore") == {}
