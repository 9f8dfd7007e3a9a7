"""Tests of the locations of the manifest and of the downloads, in a checkout and installed."""

from pathlib import Path

import platformdirs
import pytest
from places import PROJECT

from restore.models.locations import downloads_folder, manifest_path


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "site" / "restore"
    folder.mkdir(parents=True)
    return folder


def make_checkout(package: Path) -> Path:
    """Put a package into a checkout; return the checkout's weights folder."""
    weights = package.parent / "weights"
    weights.mkdir()
    (package.parent / "pyproject.toml").write_text("")
    return weights


def test_this_checkout() -> None:
    assert manifest_path() == PROJECT / "weights" / "manifest.toml"
    assert downloads_folder({}) == PROJECT / "weights"


def test_packaged_manifest_is_preferred(package: Path) -> None:
    assert manifest_path(package) == package.parent / "weights" / "manifest.toml"
    packaged = package / "weights" / "manifest.toml"
    packaged.parent.mkdir()
    packaged.write_text("")
    assert manifest_path(package) == packaged


def test_installed_package_downloads_to_the_cache_directory(package: Path) -> None:
    expected = Path(platformdirs.user_cache_dir("restore")) / "weights"
    assert downloads_folder({}, package) == expected
    # A folder with the name `weights` in site-packages is not a checkout.
    (package.parent / "weights").mkdir()
    assert downloads_folder({}, package) == expected


def test_checkout_downloads_to_its_weights_folder(package: Path) -> None:
    weights = make_checkout(package)
    assert downloads_folder({}, package) == weights
    assert downloads_folder({"RESTORE_WEIGHTS_DIR": " "}, package) == weights


def test_environment_overrides_the_folder(package: Path) -> None:
    make_checkout(package)
    environment = {"RESTORE_WEIGHTS_DIR": "/opt/weights"}
    assert downloads_folder(environment, package) == Path("/opt/weights")
