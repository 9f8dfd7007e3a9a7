"""Tests of the package: dependencies in step, and what the wheel contains."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import PROJECT

from restore.models.catalog import Catalog
from restore.version import __version__

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())


def pinned(file: str) -> dict[str, Requirement]:
    """The requirements of a file by canonical name."""
    lines = (PROJECT / file).read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(one.name): one for one in requirements}


def declared(entries: list[str]) -> dict[str, Requirement]:
    return {canonicalize_name(Requirement(entry).name): Requirement(entry) for entry in entries}


def version_of(requirement: Requirement) -> str:
    [specifier] = requirement.specifier
    assert specifier.operator == "=="
    return specifier.version


def test_requirements_and_package_metadata_are_in_step() -> None:
    package, installed = declared(PYPROJECT["project"]["dependencies"]), pinned("requirements.txt")
    assert package.keys() == installed.keys()
    for name, requirement in package.items():
        assert requirement.specifier.contains(version_of(installed[name])), name


def test_service_extra_and_requirements_are_in_step() -> None:
    extra = declared(PYPROJECT["project"]["optional-dependencies"]["service"])
    installed = pinned("requirements-service.txt")
    assert extra.keys() == installed.keys()
    for name, requirement in extra.items():
        assert requirement.specifier.contains(version_of(installed[name])), name


def test_development_extra_and_requirements_are_in_step() -> None:
    extra = declared(PYPROJECT["project"]["optional-dependencies"]["dev"])
    listed = pinned("requirements-dev.txt") | pinned("requirements-metrics.txt")
    assert extra.keys() <= listed.keys()


def test_no_install_step_resolves_the_dependencies_of_basicsr() -> None:
    for file in ("requirements.txt", "requirements-dev.txt", "constraints.txt"):
        assert not {"basicsr", "tb-nightly"} & pinned(file).keys()
    assert "basicsr" in pinned("requirements-metrics.txt")
    assert "--no-deps -r requirements-metrics.txt" in (PROJECT / "tools/install.sh").read_text()


def test_installed_version_is_the_one_of_the_source() -> None:
    assert importlib.metadata.version("restore") == __version__


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheel; it is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    [path] = folder.glob("*.whl")
    return path


def test_wheel_contains_manifest_embedded_weights_and_predictor(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"restore/weights/manifest.toml", "restore/service/page/index.html"} <= names
    assert "restore/py.typed" in names  # without it, type checkers ignore the types
    for row in Catalog.load().rows:
        assert (f"restore/weights/lite/{row.file}" in names) == row.embedded
    assert not [name for name in names if re.match(r"(tests|training|benchmarks|data)/", name)]
    assert wheel.stat().st_size < 25_000_000


def test_make_wheel_installs_no_packages_of_the_project(tmp_path: Path) -> None:
    """The environment of development takes gigabytes; the wheel needs pip and hatchling only."""
    command = ["make", "-n", "wheel", f"VENV={tmp_path / 'none'}", f"-C{PROJECT}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "pip wheel --no-deps" in printed
    assert "install.sh" not in printed


def test_package_works_outside_a_checkout(wheel: Path, tmp_path: Path) -> None:
    package = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(package)
    code = (
        "import restore, pathlib, sys\n"
        "from restore.models.catalog import Catalog\n"
        "from restore.models.store import WeightStore\n"
        f"assert pathlib.Path(restore.__file__).is_relative_to({str(package)!r})\n"
        "catalog = Catalog.load()\n"
        "store = WeightStore(catalog)\n"
        "rows = [row for row in catalog.rows if row.embedded]\n"
        "[store.verify(row) for row in rows]\n"
        "row = next(row for row in catalog.rows if not row.embedded)\n"
        "print(len(rows), store.path_of(row))\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "RESTORE_WEIGHTS_DIR"}
    environment |= {"PYTHONPATH": str(package), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    count, path = done.stdout.split(maxsplit=1)
    assert int(count) > 5
    assert Path(path.strip()).is_relative_to(tmp_path / "cache")
