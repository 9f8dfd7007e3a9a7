"""Tests of importing single modules of spandrel, each in a new process."""

import subprocess
import sys

import pytest
from places import PROJECT

NAMES = "sorted({'torchvision', 'torch._dynamo', 'spandrel.architectures.LaMa'} & set(sys.modules))"
IMPORT = "import sys\nfrom restore.models.spandrel_parts import import_part\n"
PART = "import_part('spandrel.architectures.Compact')"


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT + code],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_part_is_imported_alone() -> None:
    assert run(f"{PART}\nprint({NAMES})") == "[]"


@pytest.mark.parametrize(
    "use",
    [
        "from spandrel import MAIN_REGISTRY as registry",
        pytest.param("import spandrel; registry = spandrel.MAIN_REGISTRY", marks=pytest.mark.slow),
        pytest.param(
            "import spandrel_extra_arches; from spandrel import MAIN_REGISTRY as registry",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_whole_package_can_be_used_after_a_part(use: str) -> None:
    use = "import warnings; warnings.simplefilter('ignore')\n" + use
    code = (
        f"part = {PART}\n{use}\n"
        "from spandrel.architectures.Compact import Compact, CompactArch\n"
        "print(Compact is part.Compact, 'LaMa' in registry, len(registry) > 40)"
    )
    assert run(code) == "True True True"


@pytest.mark.slow
def test_part_of_a_package_that_is_initialised_already_is_the_same() -> None:
    code = f"import spandrel\nprint({PART} is spandrel.architectures.Compact)"
    assert run(code) == "True"


@pytest.mark.slow
def test_unknown_name_is_an_attribute_error() -> None:
    code = f"{PART}\nimport spandrel\nprint(hasattr(spandrel, 'no_such_name'), spandrel.__name__)"
    assert run(code) == "False spandrel"


def test_unknown_part_is_an_import_error() -> None:
    code = (
        "try: import_part('spandrel.architectures.Nothing')\nexcept ImportError: print('refused')"
    )
    assert run(code) == "refused"
