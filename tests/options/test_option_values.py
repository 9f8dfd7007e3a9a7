"""Values that are refused, with what is allowed and the nearest value."""

from collections.abc import Mapping

import pytest

from restore.errors import Code, RestoreError
from restore.options import (
    TASKS,
    Request,
    describe_options,
)


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"scale": 9}, ["scale is 9", "from 1 to 8"]),
        ({"scale": 0.5}, ["scale is 0.5"]),
        ({"scale": float("nan")}, ["scale is nan", "finite number from 1 to 8"]),
        ({"scale": float("inf")}, ["scale is inf"]),
        ({"scale": "big"}, ["scale is 'big'"]),
        ({"target_px": 15}, ["target_px is 15", "whole number from 16 to 65500"]),
        ({"target_px": 99_999}, ["target_px is 99999"]),
        ({"target_mp": 0}, ["target_mp is 0", "from 0.001 to 100"]),
        ({"target_mp": float("nan")}, ["target_mp is nan"]),
        ({"max_megapixels": 51}, ["max_megapixels is 51", "from 0.01 to 50"]),
        ({"max_megapixels": float("inf")}, ["max_megapixels is inf"]),
        ({"record_steps": "perhaps"}, ["record_steps is 'perhaps'", "true or false"]),
        ({"strength": -0.1}, ["strength is -0.1", "from 0 to 1"]),
        ({"denoise_strength": float("nan")}, ["denoise_strength is nan"]),
        ({"upscale_variant": "x5"}, ["upscale_variant is 'x5'", "x4plus", "animevideov3"]),
        ({"tile_size": -1}, ["tile_size is -1", "at least 64"]),
        ({"tile_size": 100.5}, ["tile_size is 100.5"]),
        ({"output_format": "gif"}, ["output_format is 'gif'", "jpg, png, webp, same"]),
        ({"output_quality": 0}, ["output_quality is 0", "whole number from 1 to 100"]),
        ({"scale": True}, ["scale is True", "finite number"]),
        ({"strength": False}, ["strength is False"]),
        ({"tile_size": False}, ["tile_size is False"]),
        ({"keep_gps": "perhaps"}, ["keep_gps is 'perhaps'", "true or false"]),
        ({"runtime_profile": "warp"}, ["runtime_profile is 'warp'", "baseline"]),
        ({"face_model": "gfpgan"}, ["face_model is 'gfpgan'", "gfpgan_v1.4"]),
        ({"codeformer_fidelity": 1.5}, ["codeformer_fidelity is 1.5", "from 0 to 1"]),
        ({"face_upscale": 5}, ["face_upscale is 5", "from 1 to 4"]),
        ({"face_upscale": 0.5}, ["face_upscale is 0.5"]),
        ({"face_detector": "mtcnn"}, ["face_detector is 'mtcnn'", "dlib"]),
        ({"min_face_px": -1}, ["min_face_px is -1", "whole number of at least 0"]),
        ({"keep_color": "perhaps"}, ["keep_color is 'perhaps'", "true or false"]),
        ({"render_factor": 0}, ["render_factor is 0", "whole number from 1 to 100"]),
        ({"points": 3}, ["points is 3", "polygon"]),
        (
            {"steps": "upscale,sharpen"},
            ["steps is 'upscale,sharpen'", "face_restore", "separated by commas"],
        ),
        ({"steps": "upscale,pipeline"}, ["steps is"]),
        ({"steps": "upscale,auto"}, ["steps is"]),
        ({"steps": "upscale,-colorize"}, ["steps is"]),
        ({"steps": "auto,-sharpen"}, ["steps is", "-upscale or -denoise or -deblur"]),
        ({"steps": "auto,upscale,-upscale"}, ["steps is"]),
        ({"steps": " , "}, ["steps is"]),
        ({"steps": ",".join(["restore"] * 9)}, ["steps is", "1 to 8"]),
        ({"has_aligned": "perhaps"}, ["has_aligned is 'perhaps'", "true or false"]),
    ],
)
def test_invalid_value_is_refused_with_the_allowed_values(
    inputs: Mapping[str, object], expected: list[str]
) -> None:
    with pytest.raises(RestoreError) as caught:
        Request.from_inputs("upscale", inputs)
    assert caught.value.code is Code.OPTION_INVALID
    for text in expected:
        assert text in str(caught.value)


def test_long_value_is_shortened_in_the_message() -> None:
    for value in ("x" * 100_000, 10**5000, [1] * 1000):
        with pytest.raises(RestoreError, match="scale is") as caught:
            Request.from_inputs("upscale", {"scale": value})
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("inputs", "meant"),
    [
        ({"upscale_variant": "x4pluss"}, ["x4plus"]),
        ({"output_format": "PNG"}, ["png"]),
        ({"output_format": "jpeg"}, ["jpg"]),
        ({"face_detector": "retinaface-resnet50"}, ["retinaface_resnet50"]),
        ({"steps": "upscal,colourise"}, ["upscale", "colorize"]),
        ({"upscale_variant": "zzz"}, []),
        ({"upscale_variant": 4}, []),
        ({"scale": "4x"}, []),
    ],
)
def test_nearest_value_is_suggested(inputs: Mapping[str, object], meant: list[str]) -> None:
    with pytest.raises(RestoreError) as caught:
        Request.from_inputs("upscale", inputs)
    assert caught.value.code is Code.OPTION_INVALID
    questions = "".join(f"Did you mean {name}? " for name in meant)
    assert caught.value.remedy.startswith(f"{questions}Use ")


def test_nearest_task_is_suggested() -> None:
    for name, meant in (("face-restore", "face_restore"), ("colourize", "colorize")):
        with pytest.raises(RestoreError, match=rf"Did you mean {meant}\? Use one of face_restore"):
            Request.from_inputs(name, {})


def test_unknown_task_is_refused_with_the_known_ones() -> None:
    for validate in (lambda task: Request.from_inputs(task, {}), describe_options):
        with pytest.raises(RestoreError, match=", ".join(TASKS)) as caught:
            validate("sharpen")
        assert caught.value.code is Code.OPTION_INVALID


@pytest.mark.parametrize("work", ["denoise", "deblur"])
def test_works_of_restore_as_steps_lead_to_its_variants(work: str) -> None:
    with pytest.raises(RestoreError, match=f"use the step restore with restore_variant={work}"):
        Request.from_inputs("pipeline", {"steps": f"{work},upscale"})
