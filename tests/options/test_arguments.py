"""Arguments of Python callers beside the options: paths, texts, tasks to preload, task names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restore.errors import Code, RestoreError
from restore.options import STEPS, TASKS, Request, describe_options
from restore.options.arguments import check_text, is_given, parse_preload, path_of
from restore.options.names import check_task


class WithoutText:
    def __repr__(self) -> str:
        raise RuntimeError


OTHER_TYPES: list[Any] = [
    3,
    2.5,
    True,
    b"x",
    bytearray(b"x"),
    ["x"],
    [[]],
    {"x": 1},
    {"x"},
    object(),
    object,
    10**5000,
    np.int64(3),
    np.array([1, 2]),
    WithoutText(),
]
NO_TEXTS = [None, *OTHER_TYPES]
NOT_PATHS = [None, *OTHER_TYPES]


def refusal(function: Any, *arguments: Any) -> RestoreError:
    with pytest.raises(RestoreError) as caught:
        function(*arguments)
    assert len(str(caught.value)) < 400
    return caught.value


@pytest.mark.parametrize("value", NO_TEXTS, ids=type)
def test_task_that_is_no_text_is_refused(value: Any) -> None:
    for check in (check_task, describe_options, lambda task: Request.from_inputs(task, {})):
        error = refusal(check, value)
        assert error.code is Code.OPTION_INVALID
        assert error.reason.startswith("task is ")
        assert error.remedy == f"Use one of {', '.join(TASKS)}."


def test_long_name_of_a_task_is_shortened() -> None:
    assert len(refusal(check_task, "x" * 1000).reason) < 100


@pytest.mark.parametrize("value", NOT_PATHS, ids=type)
def test_what_is_no_path_is_refused(value: Any) -> None:
    error = refusal(path_of, "folder", value)
    assert error.code is Code.OPTION_INVALID
    assert error.reason.startswith("folder is ")
    assert "pathlib.Path" in error.remedy


def test_path_is_a_text_or_a_path() -> None:
    assert path_of("folder", "a/b") == path_of("folder", Path("a/b")) == Path("a/b")


def test_none_and_an_empty_text_are_not_given() -> None:
    assert not is_given(None)
    assert not is_given("")
    assert all(is_given(value) for value in (*OTHER_TYPES, "x", [], 0, np.array([])))


@pytest.mark.parametrize("value", NO_TEXTS, ids=type)
def test_what_is_no_text_is_refused(value: Any) -> None:
    error = refusal(check_text, "prefix", value)
    assert (error.code, error.remedy) == (Code.OPTION_INVALID, "Use a text.")
    assert error.reason.startswith("prefix is ")


@pytest.mark.parametrize(
    ("value", "tasks"),
    [
        ("none", ()),
        ("", ()),
        ([], ()),
        (" all ", STEPS),
        (["all"], STEPS),
        ("colors, upscale", ("upscale", "colors")),
        (("colors", "upscale"), ("upscale", "colors")),
        ({"colors"}, ("colors",)),
        (iter(["colors"]), ("colors",)),
    ],
)
def test_tasks_to_preload(value: Any, tasks: tuple[str, ...]) -> None:
    assert parse_preload(value) == tasks


@pytest.mark.parametrize(
    "value", [None, 3, b"upscale", ["upscale", 3], np.array([1]), ["all", "upscale"], "pipeline"]
)
def test_other_tasks_to_preload_are_refused_with_the_setting(value: Any) -> None:
    error = refusal(parse_preload, value)
    assert error.code is Code.OPTION_INVALID
    assert error.reason.startswith("preload is ")
    assert error.remedy == f"Use all, none, or some of {', '.join(STEPS)}."
    assert refusal(parse_preload, value, "RESTORE_PRELOAD").reason.startswith("RESTORE_PRELOAD is ")


def test_nearest_task_to_preload_is_suggested() -> None:
    assert refusal(parse_preload, "upscal").remedy.startswith("Did you mean upscale? Use all")


def refusal_or_none(name: str, value: object) -> RestoreError | None:
    try:
        Request.from_inputs("pipeline", {name: value})
    except RestoreError as error:
        return error
    return None


@pytest.mark.parametrize("name", sorted(option.name for option in describe_options("pipeline")))
def test_option_of_another_type_is_accepted_or_refused_by_its_name(name: str) -> None:
    errors = [error for value in OTHER_TYPES if (error := refusal_or_none(name, value))]
    assert len(errors) > len(OTHER_TYPES) / 2
    for error in errors:
        assert error.code is Code.OPTION_INVALID
        assert error.reason.startswith(f"{name} is ")
        assert error.remedy
        assert len(str(error)) < 600
