"""Descriptions of all inputs, for the schema, the command line and the documentation."""

from typing import Literal

import pytest

from restore.imaging.limits import LIMITS
from restore.options import (
    GROUPS,
    INPUT_ORDER,
    PHOTO_INPUTS,
    PIPELINE_TASK,
    STEPS,
    TASK_OPTIONS,
    TASK_SUMMARIES,
    TASKS,
    OptionInfo,
    OutputOptions,
    RunOptions,
    Step,
    describe_options,
    in_input_order,
    takes_masks,
    tasks_using,
)
from restore.options.describe import PhotoInput

OPTION_NAMES = {name for group in GROUPS for name in group.model_fields}
OPTIONS_OF_ALL_TASKS = describe_options(PIPELINE_TASK)


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
    assert facts("saturation") == (float, False, 0, 2, 1.0)
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


def test_input_that_the_order_lacks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    others = tuple(name for name in INPUT_ORDER if name not in {"scale", "images"})
    monkeypatch.setattr("restore.options.describe.INPUT_ORDER", others)
    with pytest.raises(ValueError, match="INPUT_ORDER lacks scale: add it"):
        describe_options("upscale")
    describe_options("restore")
    described: list[PhotoInput | OptionInfo] = [*PHOTO_INPUTS, *OPTIONS_OF_ALL_TASKS]
    with pytest.raises(ValueError, match="INPUT_ORDER lacks images, scale"):
        in_input_order(described)


def test_every_task_has_a_summary() -> None:
    assert list(TASK_SUMMARIES) == list(TASKS)
    assert not any(summary.endswith(".") for summary in TASK_SUMMARIES.values())


def test_tasks_that_take_masks() -> None:
    assert {task for task in TASKS if takes_masks(task)} == {"inpaint", "pipeline", "inspect"}


def test_tasks_using_an_option() -> None:
    assert tasks_using("scale") == ("enhance", "upscale")
    assert tasks_using("steps") == ("pipeline",)
    assert tasks_using("strength") == tasks_using("output_format") == STEPS
