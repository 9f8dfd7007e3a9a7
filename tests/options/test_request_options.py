"""Requests: their steps, given options, defaults and warnings."""

import json
from collections.abc import Mapping

import pytest

from restore.errors import Code, RestoreError
from restore.options import (
    GROUPS,
    TASK_OPTIONS,
    TASKS,
    OutputOptions,
    Request,
    RestoreOptions,
    UpscaleOptions,
    describe_options,
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


@pytest.mark.parametrize(
    ("task", "steps", "uses_masks"),
    [
        ("inpaint", None, True),
        ("restore", None, False),
        ("inspect", None, True),
        ("pipeline", "auto", True),
        ("pipeline", "restore,inpaint", True),
        ("pipeline", "restore,upscale", False),
    ],
)
def test_masks_are_used_by_requests_that_may_fill(
    task: str, steps: str | None, uses_masks: bool
) -> None:
    assert Request.from_inputs(task, {"steps": steps}).uses_masks == uses_masks


@pytest.mark.parametrize(
    ("first", "second", "are_equal"),
    [
        ({}, {"steps": "auto"}, True),
        ({}, {"steps": "auto,colorize"}, False),
        ({}, {"steps": "auto,-upscale"}, False),
        ({}, {"strength": 1.0}, False),  # it replaces the strength of proposed steps
        ({}, {"output_format": "jpg"}, True),
        ({"steps": "colorize,upscale"}, {"steps": "upscale,colorize"}, False),
        ({"steps": "upscale"}, {"steps": "upscale,upscale"}, False),
        ({"steps": "upscale"}, {"steps": "upscale", "scale": 4}, True),
        ({"steps": "upscale"}, {"steps": "upscale", "scale": 2}, False),
        ({"steps": "upscale"}, {"steps": "upscale", "render_factor": 20}, True),
    ],
)
def test_facts_are_all_that_a_result_depends_on(
    first: dict[str, object], second: dict[str, object], *, are_equal: bool
) -> None:
    facts = [json.dumps(Request.from_inputs("pipeline", each).facts()) for each in (first, second)]
    assert (facts[0] == facts[1]) == are_equal


@pytest.mark.parametrize(
    ("task", "inputs", "environment", "are_equal"),
    [
        ("upscale", {}, {"MODEL_UPSCALE": "lite"}, False),
        ("upscale", {}, {"MODEL_UPSCALE": "x4plus"}, True),  # the default
        ("upscale", {}, {"MODEL_UPSCALE": " "}, True),
        ("upscale", {"upscale_variant": "x2plus"}, {"MODEL_UPSCALE": "lite"}, True),
        ("upscale", {}, {"MODEL_FACE": "lite"}, True),
        ("upscale", {"face_enhance": True}, {"MODEL_FACE": "lite"}, False),
        ("face_restore", {}, {"MODEL_UPSCALE": "lite"}, True),
        ("face_restore", {"background_enhance": True}, {"MODEL_UPSCALE": "x4plus"}, False),
        ("face_restore", {}, {"MODEL_FACE": "v0.1"}, True),
        ("old_photo_restore", {}, {"MODEL_OLD_PHOTO": "v1"}, True),
        ("pipeline", {"steps": "colorize"}, {"MODEL_FACE": "lite"}, True),
        ("pipeline", {}, {"MODEL_FACE": "lite"}, False),
    ],
)
def test_facts_have_the_networks_that_the_environment_chooses(
    task: str, inputs: dict[str, object], environment: dict[str, str], *, are_equal: bool
) -> None:
    request = Request.from_inputs(task, inputs)
    facts = [json.dumps(request.facts(each)) for each in ({}, environment)]
    assert (facts[0] == facts[1]) == are_equal


def test_facts_refuse_an_unknown_network_of_the_environment() -> None:
    with pytest.raises(RestoreError, match="MODEL_UPSCALE is 'x9'"):
        Request.from_inputs("upscale", {}).facts({"MODEL_UPSCALE": "x9"})


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


def test_steps_can_be_added_to_proposed_ones_and_left_out() -> None:
    steps = "auto, -upscale,colorize,-deblur,-face-restore"
    request = Request.from_inputs("pipeline", {"steps": steps})
    assert request.steps == ()
    assert request.further_steps == ("colorize",)
    assert request.left_out == {"upscale", "deblur", "face_restore"}


def test_none_means_not_given() -> None:
    request = Request.from_inputs("upscale", {"tile_size": None, "scale": None})
    assert request.options["upscale"] == UpscaleOptions()


def test_none_is_not_set_for_every_option() -> None:
    request = Request.from_inputs("pipeline", dict.fromkeys(OPTION_NAMES))
    assert request == Request.from_inputs("pipeline", {})


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


def test_strength_of_zero_is_a_warning() -> None:
    [warning] = Request.from_inputs("inpaint", {"strength": 0}).warnings
    assert "strength is 0" in warning
    assert Request.from_inputs("inpaint", {"strength": 0.01}).warnings == ()


def test_inspect_has_options_that_change_its_result_only() -> None:
    names = [option.name for option in describe_options("inspect")]
    assert names == ["face_model", "face_detector", "min_face_px", "points", "max_megapixels"]
    inputs = {"scale": 2, "strength": 0, "tile_size": 8, "min_face_px": 40}
    assert Request.from_inputs("inspect", inputs).warnings == tuple(
        f"{name} has no effect: it is not an option of inspect"
        for name in ("scale", "strength", "tile_size")
    )


def test_size_of_the_result_is_a_factor_or_a_target() -> None:
    def scale(**options: float) -> float:
        inputs = Request.from_inputs("upscale", options).options["upscale"]
        assert isinstance(inputs, UpscaleOptions)
        return inputs.scale_for(400, 300)

    assert scale() == 4.0
    assert scale(scale=2) == 2.0
    assert scale(target_px=1600) == 4.0
    assert scale(target_px=100) == 0.25
    assert scale(target_mp=0.48) == pytest.approx(2.0)
    assert not UpscaleOptions(scale=2).has_target
    for width, height in ((122, 81), (200, 133), (9, 4001), (1000, 1000)):
        factor = UpscaleOptions(target_mp=100).scale_for(width, height)
        assert 99e6 < round(width * factor) * round(height * factor) <= 100e6


@pytest.mark.parametrize(
    "inputs",
    [
        {"scale": 4, "target_px": 900},
        {"target_px": 900, "target_mp": 2},
        {"scale": 2, "target_px": 900, "target_mp": 2},
    ],
)
def test_two_sizes_of_the_result_are_refused(inputs: Mapping[str, object]) -> None:
    for task in ("upscale", "enhance", "pipeline", "restore"):
        with pytest.raises(RestoreError, match=" and ".join(inputs)) as caught:
            Request.from_inputs(task, inputs)
        assert caught.value.code is Code.OPTION_INVALID
        assert "Use one of scale, target_px, target_mp" in caught.value.remedy


def test_options_that_change_the_look_of_results_are_off() -> None:
    request = Request.from_inputs("upscale", {})
    assert request.options["upscale"].grain is False
    assert request.output.record_steps is False
    assert request.run.max_megapixels is None


@pytest.mark.parametrize("steps", [["colors", "face-restore"], ("colors", "face_restore")])
def test_steps_may_be_a_list(steps: object) -> None:
    request = Request.from_inputs("pipeline", {"steps": steps})
    assert request.steps == ("colors", "face_restore")
    assert (
        request.facts() == Request.from_inputs("pipeline", {"steps": "colors,face_restore"}).facts()
    )


@pytest.mark.parametrize("steps", [["colours"], ["colors", 1], [], {"colors"}])
def test_list_of_other_steps_is_refused(steps: object) -> None:
    with pytest.raises(RestoreError, match="steps is") as caught:
        Request.from_inputs("pipeline", {"steps": steps})
    assert ("Did you mean colors?" in caught.value.remedy) == (steps == ["colours"])
