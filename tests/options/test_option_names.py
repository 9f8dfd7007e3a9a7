"""Names of options: older ones, unknown ones and suggestions."""

from collections.abc import Mapping

import pytest

from restore.errors import Code, RestoreError
from restore.options import (
    Request,
)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"fidelity": 0.7}, {"codeformer_fidelity": 0.7}),
        ({"face_restoration_weight": "0.7"}, {"codeformer_fidelity": 0.7}),
        ({"upscale": 2}, {"face_upscale": 2.0}),
        ({"det_model": "retinaface_resnet50"}, {"face_detector": "retinaface_resnet50"}),
        ({"det_model": "resnet50"}, {"face_detector": "retinaface_resnet50"}),
        ({"det_model": "retinaface_mobile0.25"}, {"face_detector": "retinaface_mobile0.25"}),
        ({"det_model": "dlib"}, {"face_detector": "dlib"}),
    ],
)
def test_older_name_of_an_option_is_replaced_with_a_note(
    inputs: Mapping[str, object], expected: Mapping[str, object]
) -> None:
    request = Request.from_inputs("face_restore", inputs)
    options = request.options["face_restore"]
    assert {name: getattr(options, name) for name in expected} == expected
    [note] = request.notes
    assert next(iter(inputs)) in note
    assert next(iter(expected)) in note
    assert request.given == set(expected)


@pytest.mark.parametrize(
    ("task", "inputs", "code", "message"),
    [
        ("face_restore", {"det_model": "YOLOv5l"}, "E102", "YOLOv5l.*Use retinaface_resnet50"),
        ("face_restore", {"det_model": "YOLOv5n"}, "E102", "retinaface_mobile0.25"),
        ("face_restore", {"det_model": "mtcnn"}, "E102", "face_detector is 'mtcnn'"),
        ("face_restore", {"fidelity": 2}, "E102", "codeformer_fidelity is 2"),
        ("face_restore", {"fidelity": 0, "codeformer_fidelity": 1}, "E102", "two names"),
        ("face_restore", {"fidelity": 0, "face_restoration_weight": 1}, "E102", "two names"),
        ("upscale", {"upscale": 2}, "E101", "Did you mean scale"),
    ],
)
def test_older_name_is_refused_if_it_cannot_be_replaced(
    task: str, inputs: Mapping[str, object], code: str, message: str
) -> None:
    with pytest.raises(RestoreError, match=message) as caught:
        Request.from_inputs(task, inputs)
    assert caught.value.code == code


def test_unknown_option_is_refused_with_a_suggestion() -> None:
    with pytest.raises(RestoreError, match="Did you mean scale") as caught:
        Request.from_inputs("upscale", {"scal": 2})
    assert caught.value.code is Code.OPTION_UNKNOWN


def test_unknown_option_without_a_similar_name_names_the_command_that_lists_all() -> None:
    with pytest.raises(RestoreError, match="restore old-photo-restore --help"):
        Request.from_inputs("old_photo_restore", {"zzzzzz": 2})


@pytest.mark.parametrize(
    ("task", "name", "meant"),
    [
        ("upscale", "imgae", "image"),
        ("face_restore", "imges", "images"),
        ("inpaint", "maks", "masks"),
        ("pipeline", "msk", "mask"),
        ("upscale", "tsk", "task"),
        ("upscale", "output-format", "output_format"),
        ("upscale", "Scale", "scale"),
        ("upscale", "tilesize", "tile_size"),
        ("face_restore", "fidelty", "codeformer_fidelity"),
        ("face_restore", "render_facter", "render_factor"),
    ],
)
def test_nearest_name_is_suggested(task: str, name: str, meant: str) -> None:
    for value in ("x", None):
        with pytest.raises(RestoreError) as caught:
            Request.from_inputs(task, {name: value})
        assert caught.value.code is Code.OPTION_UNKNOWN
        assert caught.value.remedy == f"Did you mean {meant}?"


def test_names_of_photo_inputs_are_explained_to_python_callers() -> None:
    for name in ("image", "images", "mask"):
        with pytest.raises(RestoreError, match=f"'{name}'.*argument masks"):
            Request.from_inputs("inpaint", {name: "a.jpg"})
