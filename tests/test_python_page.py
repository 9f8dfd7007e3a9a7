"""The examples of docs/python.md: they run in their order, print what they say, and have types."""

import ast
import inspect
import io
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photofiles import picture
from PIL import Image
from places import PROJECT

import restore
from restore import Restorer, Results

PAGE = (PROJECT / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
SCRIPT_MARK = "# script: "
SESSION = [block for block in BLOCKS if not block.startswith(SCRIPT_MARK)]
SCRIPTS = [block for block in BLOCKS if block.startswith(SCRIPT_MARK)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the photos of the examples."""
    path = tmp_path_factory.mktemp("session")
    Image.fromarray(picture(96, 128)).save(path / "a.jpg")
    Image.fromarray(picture(96, 128)).convert("L").save(path / "grey.jpg")
    (path / "weights").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        yield path


def test_examples_run_in_their_order(folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "session"}
    printed = io.StringIO()
    with redirect_stdout(printed):
        for block in SESSION:
            exec(compile(block, "docs/python.md", "exec"), names)
    text = printed.getvalue()
    assert "['photo 1', 'photo 2', 'a.jpg', 'a.jpg']" in text
    assert "[E201] photo 'missing.jpg': 'missing.jpg' does not exist. Check the path." in text
    assert re.search(r"^upscale: tiles: 1 of 1$", text, re.MULTILINE)
    assert re.search(r"^done$", text, re.MULTILINE)
    assert "lite is used instead of x4plus, because the weights policy is 'lite'" in text
    with Image.open(folder / "large.png") as image:
        assert (image.format, image.size) == ("PNG", (256, 192))
    with Image.open(folder / "out" / "grandma.jpg") as image:
        assert image.format == "JPEG"
    assert {"1-grandma.webp", "1-grandma.json", "1-a.jpg"} <= {
        path.name for path in (folder / "out").iterdir()
    }
    assert np.shape(names["pixels"]) == (192, 256, 3)


@pytest.mark.parametrize("block", SCRIPTS, ids=lambda block: block.splitlines()[0])
def test_scripts_run(folder: Path, block: str) -> None:
    path = folder / "script.py"
    path.write_text(block)
    done = subprocess.run(
        [sys.executable, str(path)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    sizes = ast.literal_eval(done.stdout)
    assert len(sizes) == 2
    assert min(sizes) > 1000


@pytest.mark.slow
def test_examples_have_the_types_that_mypy_expects(tmp_path: Path) -> None:
    """As for a user: strict, with the types of the package."""
    (tmp_path / "session.py").write_text("\n".join(SESSION))
    for number, block in enumerate(SCRIPTS):
        (tmp_path / f"script{number}.py").write_text(block)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "", "session.py"]
    command += [f"script{number}.py" for number in range(len(SCRIPTS))]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_page_names_all_public_names_and_methods() -> None:
    names = set(re.findall(r"`(\w+)`", PAGE[PAGE.index("## Public names") :]))
    assert set(restore.__all__) <= names
    methods = {name for name, _ in inspect.getmembers(Results, inspect.isfunction)}
    for method in {name for name in methods if not name.startswith("_")}:
        assert method in PAGE, method
    for argument in inspect.signature(Restorer.__init__).parameters.keys() - {"self"}:
        assert f"{argument}=" in PAGE, argument


def test_docstrings_are_enough_without_the_page() -> None:
    for name in restore.__all__:
        if name != "__version__":
            assert len(inspect.getdoc(getattr(restore, name)) or "") > 40, name
    assert "Args:" in textwrap.dedent(Restorer.run.__doc__ or "")
