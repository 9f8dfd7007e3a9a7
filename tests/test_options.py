"""Tests of restore.options: validation of requests and descriptions of options."""

import json
from collections.abc import Mapping
from typing import Literal

import numpy as np
import pytest

from restore.errors import Code, RestoreError
from restore.imaging.limits import LIMITS
from restore.models.catalog import Catalog
from restore.options import (
    GROUPS,
    INPUT_ORDER,
    PHOTO_INPUTS,
    PIPELINE_TASK,
    STEPS,
    TASK_OPTIONS,
    TASKS,
    EnhanceOptions,
    FaceRestoreOptions,
    OldPhotoOptions,
    OptionInfo,
    OutputOptions,
    Request,
    RestoreOptions,
    RunOptions,
    Step,
    TaskOptions,
    UpscaleOptions,
    VariantChoice,
    choices_of,
    describe_options,
    parse_face_points,
    tasks_using,
)

OPTION_NAMES = {name for group in GROUPS for name in group.model_fields}


def test_defaults_make_a_valid_request_for_every_task() -> None:
    for task in TASKS:
        request = Request.from_inputs(task, {})
        assert {step: type(options) for step, options in request.options.items()} == dict(
            TASK_OPTIONS
        )
        assert request.steps == (() if task in {"pipeline", "inspect"} else (task,))
        assert request.output == OutputOptions()


def test_task_uses_its_own_options_and_ignores_the_others() -> None:
    request = Request.from_inputs(
        "restore",
        {"scale": 2, "restore_variant": "deblur", "output_format": "png", "strength": 0.25},
    )
    assert request.options["restore"] == RestoreOptions(restore_variant="deblur", strength=0.25)
    assert request.output.output_format == "png"


def test_invalid_option_of_another_task_is_refused() -> None:
    with pytest.raises(RestoreError, match="scale is 99"):
        Request.from_inputs("restore", {"scale": 99})


def test_steps_keep_their_order_and_may_repeat() -> None:
    request = Request.from_inputs(
        "pipeline", {"steps": " colorize, face_restore ,upscale,colorize", "scale": 2}
    )
    assert request.steps == ("colorize", "face_restore", "upscale", "colorize")
    assert request.options["upscale"].scale == 2
    assert Request.from_inputs("restore", {"steps": "upscale"}).steps == ("restore",)


def test_none_means_not_given() -> None:
    request = Request.from_inputs("upscale", {"tile_size": None, "scale": None})
    assert request.options["upscale"] == UpscaleOptions()


def test_default_tile_size_depends_on_the_task() -> None:
    assert UpscaleOptions().tile_px == 512
    assert RestoreOptions().tile_px == 0
    assert UpscaleOptions(tile_size=0).tile_px == 0
    assert RestoreOptions(tile_size=65).tile_px == 65


@pytest.mark.parametrize("tile_px", [1, 63])
def test_small_tile_is_raised_to_the_minimum_with_a_warning(tile_px: int) -> None:
    request = Request.from_inputs("restore", {"tile_size": tile_px})
    assert request.options["restore"].tile_px == 64
    assert request.warnings == (f"tile_size was raised from {tile_px} to 64, the smallest tile",)
    for valid in (0, 64):
        assert Request.from_inputs("restore", {"tile_size": valid}).warnings == ()


def test_given_options_are_those_with_a_value() -> None:
    request = Request.from_inputs("upscale", {"scale": 4, "tile_size": None, "fidelity": 0.3})
    assert request.given == {"scale", "codeformer_fidelity"}


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor", "cudagraphs"])
def test_compile_backend_in_safe_mode_is_a_warning(backend: str) -> None:
    safe = Request.from_inputs("restore", {"compile_backend": backend, "stability_mode": "safe"})
    assert safe.warnings == (f"compile_backend {backend} has no effect: stability_mode is safe",)
    optimized = {"compile_backend": backend, "stability_mode": "optimized"}
    assert Request.from_inputs("restore", optimized).warnings == ()


def test_scratch_threshold_may_be_0_or_1() -> None:
    for threshold in (0, 1):
        request = Request.from_inputs("old_photo_restore", {"scratch_threshold": threshold})
        assert request.options["old_photo_restore"].scratch_threshold == threshold


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


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"scale": 9}, ["scale is 9", "from 1 to 8"]),
        ({"scale": 0.5}, ["scale is 0.5"]),
        ({"scale": float("nan")}, ["scale is nan", "finite number from 1 to 8"]),
        ({"scale": float("inf")}, ["scale is inf"]),
        ({"scale": "big"}, ["scale is 'big'"]),
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
        ({"steps": "auto,upscale"}, ["steps is"]),
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


def test_none_is_not_set_for_every_option() -> None:
    request = Request.from_inputs("pipeline", dict.fromkeys(OPTION_NAMES))
    assert request == Request.from_inputs("pipeline", {})


def test_strength_of_zero_is_a_warning() -> None:
    [warning] = Request.from_inputs("inpaint", {"strength": 0}).warnings
    assert "strength is 0" in warning
    assert Request.from_inputs("inpaint", {"strength": 0.01}).warnings == ()


def test_unknown_task_is_refused_with_the_known_ones() -> None:
    for validate in (lambda task: Request.from_inputs(task, {}), describe_options):
        with pytest.raises(RestoreError, match=", ".join(TASKS)) as caught:
            validate("sharpen")
        assert caught.value.code is Code.OPTION_INVALID


@pytest.mark.parametrize(
    ("group", "choice"),
    [(group, choice) for group in TASK_OPTIONS.values() for choice in group.variant_choices],
)
def test_auto_is_the_variant_of_the_environment_or_the_default(
    group: type[TaskOptions], choice: VariantChoice
) -> None:
    if group is OldPhotoOptions:
        with_scratch, high_resolution = (
            OldPhotoOptions(with_scratch=True),
            OldPhotoOptions(with_scratch=True, old_photo_hr=True),
        )
        assert OldPhotoOptions(with_scratch=False).variant(choice, {}) == "quality"
        assert group().variant(choice, {}) == "scratch"
        assert with_scratch.variant(choice, {choice.environment: "v1"}) == "scratch"
        assert high_resolution.variant(choice, {}) == "scratch_hr"
    else:
        assert group().variant(choice, {}) == choice.default
    assert group().variant(choice, {choice.environment: " lite "}) == "lite"
    explicit = group.model_validate({choice.field: "lite"})
    assert explicit.variant(choice, {choice.environment: choice.default}) == "lite"
    for invalid in ("auto", "nothing"):
        with pytest.raises(RestoreError, match=choice.environment):
            group().variant(choice, {choice.environment: invalid})


def test_environment_may_name_a_variant_by_its_older_name() -> None:
    assert FaceRestoreOptions().variant(environment={"MODEL_FACE": "v0.1"}) == "codeformer"
    with pytest.raises(RestoreError, match=r"face_model is 'v0\.1'"):
        Request.from_inputs("face_restore", {"face_model": "v0.1"})
    others = {
        "colorize": ("MODEL_COLORIZE", "artistic", "artistic"),
        "restore": ("MODEL_RESTORE", "deblur", "deblur"),
        "upscale": ("MODEL_UPSCALE", "x4anime", "x4anime"),
        "old_photo_restore": ("MODEL_OLD_PHOTO", "v1", "scratch"),
        "inpaint": ("MODEL_INPAINT", "big", "big"),
        "colors": ("MODEL_COLORS", "lite", "lite"),
    }
    for task, (name, value, variant) in others.items():
        options = TASK_OPTIONS[task]()  # type: ignore[index]
        assert options.variant(environment={name: value}) == variant


def test_first_variant_choice_is_the_network_of_the_task() -> None:
    assert FaceRestoreOptions().variant(environment={}) == "codeformer"
    assert EnhanceOptions().variant(environment={}) == "x4plus"
    assert RestoreOptions().variant(environment={}) == "denoise"


def test_choices_are_the_variants_of_the_manifest() -> None:
    catalog = Catalog.load()
    for group in TASK_OPTIONS.values():
        for choice in group.variant_choices:
            offered = set(choices_of(group, choice.field)) - {"auto"}
            if group is OldPhotoOptions:  # v1 becomes one of three variants
                offered = offered - {"v1"} | {"quality", "scratch", "scratch_hr"}
            assert offered == set(catalog.variants(choice.task))
    assert set(choices_of(FaceRestoreOptions, "face_detector")) - {"auto", "dlib"} == set(
        catalog.variants("face_detect")
    )


def test_inspect_has_options_that_change_its_result_only() -> None:
    names = [option.name for option in describe_options("inspect")]
    assert names == ["face_model", "face_detector", "min_face_px", "points"]
    inputs = {"scale": 2, "strength": 0, "tile_size": 8, "min_face_px": 40}
    assert Request.from_inputs("inspect", inputs).warnings == tuple(
        f"{name} has no effect: it is not an option of inspect"
        for name in ("scale", "strength", "tile_size")
    )


@pytest.mark.parametrize("task", [*STEPS, PIPELINE_TASK])
def test_description_of_a_task_has_its_options_in_order(task: Step | Literal["pipeline"]) -> None:
    names = [option.name for option in describe_options(task)]
    assert names == sorted(names, key=INPUT_ORDER.index)
    general = set(OutputOptions.model_fields) | set(RunOptions.model_fields)
    if task == "pipeline":
        assert set(names) == OPTION_NAMES
    else:
        assert set(names) == set(TASK_OPTIONS[task].model_fields) | general
    groups = {option.name: option.group for option in describe_options(task)}
    assert {name for name, group in groups.items() if group == "output"} == set(
        OutputOptions.model_fields
    )
    assert {name for name, group in groups.items() if group == "run"} == set(
        RunOptions.model_fields
    )


def test_description_of_an_option_has_its_type_choices_bounds_and_default() -> None:
    options = {option.name: option for option in describe_options(PIPELINE_TASK)}

    def facts(name: str) -> tuple[object, ...]:
        option = options[name]
        return option.type, option.optional, option.minimum, option.maximum, option.default

    assert facts("scale") == (float, False, 1, 8, 4.0)
    assert facts("render_factor") == (int, False, 1, 100, 35)
    assert facts("tile_size") == (int, True, 0, None, None)
    assert facts("keep_color") == (bool, True, None, None, None)
    assert facts("with_face") == (bool, False, None, None, True)
    assert facts("points") == (str, True, None, None, None)
    assert facts("output_format") == (str, False, None, None, "jpg")
    assert options["output_format"].choices == ("jpg", "png", "webp", "same")
    assert options["scale"].choices == ()


@pytest.mark.parametrize("option", describe_options(PIPELINE_TASK), ids=lambda option: option.name)
def test_every_option_is_described_in_one_sentence(option: OptionInfo) -> None:
    text = option.description
    assert text.endswith(".")
    assert ". " not in text
    assert not {"\n", '"', "\\"} & set(text), "Cog's analyser cannot read it"


def test_description_of_the_photo_states_the_limits() -> None:
    [description] = [photo.description for photo in PHOTO_INPUTS if photo.name == "image"]
    assert f"{LIMITS.max_bytes // 2**20} MiB" in description
    assert f"{LIMITS.max_pixels_in // 10**6} megapixels" in description


def test_input_order_lists_every_input_once() -> None:
    photo_inputs = {photo_input.name for photo_input in PHOTO_INPUTS}
    assert sorted(INPUT_ORDER) == sorted({"task"} | photo_inputs | OPTION_NAMES)


def test_tasks_using_an_option() -> None:
    assert tasks_using("scale") == ("enhance", "upscale")
    assert tasks_using("steps") == ("pipeline",)
    assert tasks_using("strength") == tasks_using("output_format") == STEPS


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
