"""The types of the options of `Restorer.run`: those of the registry, which mypy uses."""

import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest

from restore import Inputs
from restore.options import Request, describe_options
from tools.inputs_types import LISTS, MODULE, source


def test_types_are_up_to_date() -> None:
    assert MODULE.read_text() == source(), "run `python tools/inputs_types.py`"


def test_all_options_have_a_type_that_allows_none() -> None:
    hints = get_type_hints(Inputs)
    assert list(hints) == [option.name for option in describe_options("pipeline")]
    assert all(type(None) in get_args(hint) for hint in hints.values())
    assert not Inputs.__required_keys__


@pytest.mark.parametrize(
    "inputs",
    [
        {"points": [[0, 0], [9, 0], [9, 9]]},
        {"points": [[(0, 0), (9, 0), (9, 9)], [(20, 20), (30, 20), (30, 30)]]},
        {"points": np.array([[0, 0], [9, 0], [9, 9]])},
        {"face_points": [(3.5, 4)]},
        {"face_points": np.array([[3, 4]])},
        {"faces": 2},
        {"faces": [0, 2]},
        {"faces": np.array([0, 2])},
        {"steps": ["restore", "upscale"]},
        {"steps": ("auto", "-upscale")},
    ],
)
def test_lists_that_have_a_type_are_accepted(inputs: Inputs) -> None:
    assert inputs.keys() <= LISTS.keys()
    Request.from_inputs("pipeline", inputs)


CORRECT = """
import numpy as np
from restore import Inputs, Results, Restorer

def use(restorer: Restorer) -> Results:
    options: Inputs = {"scale": 2, "upscale_variant": "lite", "face_points": np.array([[1, 2]])}
    restorer.run("inpaint", "a.jpg", points=[(1, 2), (3, 4), (5, 6)], faces=[1], harm_check=None)
    restorer.run("inpaint", "a.jpg", points=[[(1, 2), (3, 4), (5, 6)]], faces="largest")
    restorer.run("pipeline", ["a.jpg"], steps=["restore", "upscale"], target_mp=2)
    return restorer.run("upscale", "a.jpg", masks=None, **options)
"""
WRONG = """
from restore import Restorer

def use(restorer: Restorer) -> None:
    restorer.run("upscale", "a.jpg", scal=2)
    restorer.run("upscale", "a.jpg", scale="big")
    restorer.run("upscale", "a.jpg", upscale_variant="x5")
    restorer.run("upscale", "a.jpg", points=3)
    restorer.run("upscale", "a.jpg", grain="yes")
    restorer.run("upscale", "a.jpg", faces=0.5)
"""


@pytest.mark.slow
def test_mypy_knows_names_and_values(tmp_path: Path) -> None:
    (tmp_path / "correct.py").write_text(CORRECT)
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--no-error-summary"]
    done = subprocess.run(
        [*command, "correct.py", "wrong.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if ": error: " in line]
    wrong_lines = range(WRONG.splitlines().index("def use(restorer: Restorer) -> None:") + 2, 11)
    assert [line.split(": ")[0] for line in errors] == [f"wrong.py:{each}" for each in wrong_lines]
    assert "scal" in errors[0]
    assert 'did you mean "scale"' in errors[0]
