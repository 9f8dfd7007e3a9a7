"""Where the manifest, the embedded weights and the downloaded weights are on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder `restore/`."""
DOWNLOADS_ENVIRONMENT = "RESTORE_WEIGHTS_DIR"
FOLDER_SETTINGS = f"set {DOWNLOADS_ENVIRONMENT}, or weights_dir in Python"
"""How to choose the folder of downloads, for the remedies of errors."""


def manifest_path(package: Path = PACKAGE) -> Path:
    """Return the path of the manifest; the embedded weights are in `lite/` beside it.

    A wheel contains it in restore/weights/, a checkout in weights/.
    """
    packaged = package / "weights" / "manifest.toml"
    return packaged if packaged.exists() else package.parent / "weights" / "manifest.toml"


def downloads_folder(environment: Mapping[str, str] = os.environ, package: Path = PACKAGE) -> Path:
    """Return the folder for downloaded weights; it may not exist yet.

    It is RESTORE_WEIGHTS_DIR if that is set, else weights/ of the checkout that contains the
    package, else a folder in the user's cache directory.
    """
    if named := environment.get(DOWNLOADS_ENVIRONMENT, "").strip():
        return Path(named)
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / "weights").is_dir():
        return checkout / "weights"
    return Path(platformdirs.user_cache_dir("restore")) / "weights"
