"""The names of the package: what `import restore` offers, and what it costs."""

import os
import subprocess
import sys
from pathlib import Path

import restore
from restore.version import __version__


def in_a_new_process(code: str, folder: Path) -> str:
    """Return what a program prints that is not started in the checkout."""
    environment = {**os.environ, "PYTHONPATH": str(Path(restore.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not done.stderr
    return done.stdout.strip()


def test_all_public_names_exist_and_are_listed_before_their_first_use(tmp_path: Path) -> None:
    code = (
        "import restore, sys\n"
        "listed = set(dir(restore))\n"
        "print('torch' in sys.modules, set(restore.__all__) <= listed)\n"
        "from restore import *\n"
        "print(all(getattr(restore, name).__doc__ for name in restore.__all__))\n"
    )
    assert in_a_new_process(code, tmp_path).split() == ["False", "True", "True"]


def test_version_is_public() -> None:
    assert restore.__version__ == __version__


def test_import_leaves_logging_and_the_folder_as_they_are(tmp_path: Path) -> None:
    code = (
        "import logging\n"
        "from restore import Restorer\n"
        "Restorer(weights='lite', device='cpu')\n"
        "print(logging.root.handlers, logging.root.level == logging.WARNING)\n"
        "print(logging.getLogger('restore').handlers)\n"
    )
    assert in_a_new_process(code, tmp_path).split() == ["[]", "True", "[]"]
    assert not list(tmp_path.iterdir())
