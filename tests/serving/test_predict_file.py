"""Tests of predict.py: generated from the options, and readable by Cog's static analyser."""

import ast
import inspect
import typing
from pathlib import Path

import cog
import pytest
from cog import _inspector

import predict
from restore.options import INPUT_ORDER
from restore.serving.generate_predict import predict_source, write_predict
from restore.serving.inputs import CogInput, cog_inputs

SOURCE = Path(predict.__file__).read_text()
PARAMETERS = inspect.signature(predict.Predictor.predict).parameters


def test_predict_py_is_up_to_date() -> None:
    assert predict_source() == SOURCE, "run: python -m restore.serving.generate_predict"


def test_predict_py_is_rewritten_only_if_it_is_out_of_date(tmp_path: Path) -> None:
    path = write_predict(tmp_path)
    first_ns = path.stat().st_mtime_ns
    assert write_predict(tmp_path).stat().st_mtime_ns == first_ns
    path.write_text("")
    assert write_predict(tmp_path).read_text() == SOURCE
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("cog_input", cog_inputs(), ids=lambda cog_input: cog_input.name)
def test_cog_reads_the_choices_bounds_and_default_of_an_input(cog_input: CogInput) -> None:
    info = PARAMETERS[cog_input.name].default
    assert tuple(info.choices or ()) == cog_input.choices
    assert (info.ge, info.le) == (cog_input.minimum, cog_input.maximum)
    assert info.default == cog_input.default
    assert info.description == cog_input.description


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_cog_inspects_the_predictor_without_an_error() -> None:
    info = _inspector.create_predictor("predict", "Predictor")
    assert list(info.inputs) == list(INPUT_ORDER)


def test_every_input_is_a_literal_that_cogs_static_analyser_reads() -> None:
    """The analyser drops an expression silently, or makes the input required."""
    method = next(
        node
        for node in ast.walk(ast.parse(SOURCE))
        if isinstance(node, ast.FunctionDef) and node.name == "predict"
    )
    assert len(method.args.defaults) == len(method.args.args) - 1
    for argument, default in zip(method.args.args[1:], method.args.defaults, strict=True):
        assert isinstance(default, ast.Call), argument.arg
        assert ast.unparse(default.func) == "Input"
        assert not default.args, "positional arguments make an input required"
        keywords = {keyword.arg: keyword.value for keyword in default.keywords}
        for name, value in keywords.items():
            ast.literal_eval(value)
            if name in {"ge", "le"}:
                assert isinstance(value, ast.Constant)
        description = keywords["description"]
        assert description.lineno == description.end_lineno
        assert "\\" not in str(ast.get_source_segment(SOURCE, description))
        if ast.literal_eval(keywords["default"]) is None:
            assert argument.annotation is not None
            assert "Optional[" in ast.unparse(argument.annotation), argument.arg
    assert typing.get_type_hints(predict.Predictor.predict)["return"] == list[cog.Path]
