"""Validation of requests, and that predict.py's literal schema says the same."""

import ast
import inspect
import typing
from pathlib import Path

import cog
import pytest

import predict
from restore.errors import Code, RestoreError
from restore.models.catalog import Catalog
from restore.options import (
    DEFAULT_TASK,
    GROUPS,
    TASK_OPTIONS,
    TASKS,
    EnhanceOptions,
    FaceRestoreOptions,
    OldPhotoOptions,
    OutputOptions,
    Request,
    RestoreOptions,
    UpscaleOptions,
    bounds_of,
    choices_of,
)

SIGNATURE = inspect.signature(predict.Predictor.predict)
NOT_OPTIONS = {"self", "task", "image", "images", "mask", "masks"}
FIELDS = {name: group for group in GROUPS for name in group.model_fields}


def test_defaults_make_a_valid_request_for_every_task():
    for task in TASKS:
        request = Request.from_inputs(task, {})
        assert {step: type(options) for step, options in request.options.items()} == dict(
            TASK_OPTIONS
        )
        assert request.steps == (() if task == "pipeline" else (task,))
        assert request.output == OutputOptions()


def test_a_task_takes_its_own_inputs_and_leaves_the_others():
    request = Request.from_inputs(
        "restore",
        {"scale": 2, "restore_variant": "deblur", "output_format": "png", "strength": 0.25},
    )
    assert request.options["restore"] == RestoreOptions(restore_variant="deblur", strength=0.25)
    assert request.output.output_format == "png"


def test_a_wrong_value_of_another_task_is_refused_all_the_same():
    with pytest.raises(RestoreError, match="scale is 99"):
        Request.from_inputs("restore", {"scale": 99})


def test_steps_are_taken_in_their_order_and_as_often_as_they_are_named():
    request = Request.from_inputs(
        "pipeline", {"steps": " colorize, face_restore ,upscale,colorize", "scale": 2}
    )
    assert request.steps == ("colorize", "face_restore", "upscale", "colorize")
    assert request.options["upscale"].scale == 2
    assert Request.from_inputs("restore", {"steps": "upscale"}).steps == ("restore",)


def test_none_means_not_given():
    assert (
        Request.from_inputs("upscale", {"tile_size": None, "scale": None}).options["upscale"]
        == UpscaleOptions()
    )


def test_tile_defaults_differ_by_task():
    assert UpscaleOptions().tile_px == 512
    assert RestoreOptions().tile_px == 0
    assert UpscaleOptions(tile_size=0).tile_px == 0
    assert RestoreOptions(tile_size=64).tile_px == 64


@pytest.mark.parametrize(
    ("inputs", "wanted"),
    [
        ({"scale": 9}, ["scale is 9", "from 1 to 8"]),
        ({"scale": 0.5}, ["scale is 0.5"]),
        ({"scale": float("nan")}, ["scale is nan", "finite number from 1 to 8"]),
        ({"scale": float("inf")}, ["scale is inf"]),
        ({"scale": "big"}, ["scale is 'big'"]),
        ({"strength": -0.1}, ["strength is -0.1", "from 0 to 1"]),
        ({"denoise_strength": float("nan")}, ["denoise_strength is nan"]),
        ({"upscale_variant": "x5"}, ["upscale_variant is 'x5'", "x4plus", "animevideov3"]),
        ({"tile_size": 7}, ["tile_size is 7", "at least 64"]),
        ({"tile_size": -1}, ["tile_size is -1"]),
        ({"tile_size": 100.5}, ["tile_size is 100.5"]),
        ({"output_format": "gif"}, ["output_format is 'gif'", "jpg, png, webp"]),
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
        ({"keep_color": "perhaps"}, ["keep_color is 'perhaps'", "true, false"]),
        ({"render_factor": 0}, ["render_factor is 0", "whole number from 1 to 100"]),
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
def test_a_bad_value_is_refused_with_its_name_its_value_and_what_is_allowed(inputs, wanted):
    with pytest.raises(RestoreError) as caught:
        Request.from_inputs("upscale", inputs)
    assert caught.value.code is Code.OPTION_INVALID
    for text in wanted:
        assert text in str(caught.value)


def test_a_long_value_is_not_echoed_whole():
    with pytest.raises(RestoreError) as caught:
        Request.from_inputs("upscale", {"scale": "x" * 100_000})
    assert len(str(caught.value)) < 300


def test_an_unknown_name_is_refused_with_the_nearest_known_one():
    with pytest.raises(RestoreError, match="Did you mean scale") as caught:
        Request.from_inputs("upscale", {"scal": 2})
    assert caught.value.code is Code.OPTION_UNKNOWN


def test_an_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(
        RestoreError,
        match="face_restore, enhance, upscale, restore, colorize, old_photo_restore, inpaint, pipeline",
    ):
        Request.from_inputs("sharpen", {})


@pytest.mark.parametrize(
    ("group", "choice"),
    [(group, choice) for group in TASK_OPTIONS.values() for choice in group.variant_choices],
)
def test_auto_is_the_environments_variant_else_the_default(group, choice):
    if group is OldPhotoOptions:
        assert group().variant(choice, {}) == "quality"
        assert group(with_scratch=True).variant(choice, {choice.environment: "v1"}) == "scratch"
        assert group(with_scratch=True, old_photo_hr=True).variant(choice, {}) == "scratch_hr"
    else:
        assert group().variant(choice, {}) == choice.default
    assert group().variant(choice, {choice.environment: " lite "}) == "lite"
    explicit = group.model_validate({choice.field: "lite"})
    assert explicit.variant(choice, {choice.environment: choice.default}) == "lite"
    for bad in ("auto", "nothing"):
        with pytest.raises(RestoreError, match=choice.environment):
            group().variant(choice, {choice.environment: bad})


def test_the_first_choice_is_the_tasks_own_network():
    assert FaceRestoreOptions().variant(environment={}) == "codeformer"
    assert EnhanceOptions().variant(environment={}) == "x4plus"
    assert RestoreOptions().variant(environment={}) == "denoise"


def test_every_choice_offers_what_the_manifest_has():
    catalog = Catalog.load()
    for group in TASK_OPTIONS.values():
        for choice in group.variant_choices:
            offered = set(choices_of(group, choice.field)) - {"auto"}
            if group is OldPhotoOptions:  # v1 is one of three by what is asked of it
                offered = offered - {"v1"} | {"quality", "scratch", "scratch_hr"}
            assert offered == set(catalog.variants(choice.task))
    assert set(choices_of(FaceRestoreOptions, "face_detector")) - {"auto", "dlib"} == set(
        catalog.variants("face_detect")
    )


def test_the_schema_offers_exactly_the_options():
    assert set(SIGNATURE.parameters) - NOT_OPTIONS == set(FIELDS)
    task = SIGNATURE.parameters["task"].default
    assert tuple(task.choices) == TASKS
    assert task.default == DEFAULT_TASK


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_an_input_has_the_choices_bounds_and_default_of_its_option(name):
    info, group = SIGNATURE.parameters[name].default, FIELDS[name]
    assert tuple(info.choices or ()) == choices_of(group, name)
    assert (info.ge, info.le) == bounds_of(group, name)
    assert info.default == group.model_fields[name].default


def test_every_input_is_written_so_that_cogs_static_analyser_reads_it():
    """The traps of facts about Cog 0.23: what is no literal is dropped or makes an input required, silently."""
    tree = ast.parse(Path(predict.__file__).read_text())
    method = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "predict"
    )
    assert len(method.args.defaults) == len(method.args.args) - 1
    for argument, default in zip(method.args.args[1:], method.args.defaults, strict=True):
        assert isinstance(default, ast.Call), argument.arg
        assert ast.unparse(default.func) == "Input"
        assert not default.args, "positional arguments make an input required"
        keywords = {keyword.arg: keyword.value for keyword in default.keywords}
        for key, value in keywords.items():
            ast.literal_eval(value)
            if key in {"ge", "le"}:
                assert isinstance(value, ast.Constant)
        description = keywords["description"]
        assert description.lineno == description.end_lineno
        assert "\\" not in ast.get_source_segment(Path(predict.__file__).read_text(), description)
        if "default" in keywords and ast.literal_eval(keywords["default"]) is None:
            assert "Optional[" in ast.unparse(argument.annotation), argument.arg
    assert typing.get_type_hints(predict.Predictor.predict)["return"] == list[cog.Path]
