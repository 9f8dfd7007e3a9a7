"""Finds checkpoint files that are on this machine already, outside of their place in this project.

Searched are older layouts of a weights folder, the caches of torch.hub and of Hugging Face, and the
weights folders of the packages facexlib and gfpgan. Files are used in place and never modified.
The caller verifies their content.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from restore.models.catalog import Checkpoint

OLDER_WEIGHTS_ENVIRONMENT = "WEIGHTS_DIR"
"""The variable that names the weights folder of the project that this one replaces."""
PACKAGES = ("facexlib", "gfpgan")
MAX_SIZE_ERROR = 0.02
"""By how much a file may differ from `bytes_about`."""


def find_existing_files(
    row: Checkpoint, weights_folder: Path, environment: Mapping[str, str]
) -> Iterator[Path]:
    """Yield files that may be the file of a row: the name and the size fit, if they are known.

    Args:
        row: a row that is not embedded.
        weights_folder: folder of the downloads.
        environment: the variables WEIGHTS_DIR, TORCH_HOME, HF_HOME, HF_HUB_CACHE and
            XDG_CACHE_HOME are read.
    """
    folders = [weights_folder]
    if older := environment.get(OLDER_WEIGHTS_ENVIRONMENT, "").strip():
        folders.append(Path(older))
    yielded = set[Path]()
    for path in (
        *(path for folder in folders for path in _in_weights_folder(row, folder)),
        _torch_checkpoints(environment) / row.file,
        *(folder / row.file for folder in _package_folders(PACKAGES)),
        *_in_hugging_face_cache(row, _hugging_face_cache(environment)),
    ):
        if path not in yielded and path.is_file() and _has_expected_size(row, path):
            yielded.add(path)
            yield path


def _in_weights_folder(row: Checkpoint, folder: Path) -> Iterator[Path]:
    """Yield the row's paths in older layouts, and its file name in every subfolder."""
    yield from (folder / older for older in row.older_paths)
    yield folder / row.file
    yield from sorted(folder.glob(f"*/{row.file}"))


def _in_hugging_face_cache(row: Checkpoint, cache: Path) -> Iterator[Path]:
    """Yield the blob with the row's checksum, which is its name, and the files of its URLs."""
    if row.sha256:
        yield from sorted(cache.glob(f"models--*/blobs/{row.sha256}"))
    for url in row.urls:
        match = re.fullmatch(r"https://huggingface\.co/([^/]+)/([^/]+)/resolve/[^/]+/(.+)", url)
        if match:
            repository = cache / f"models--{match[1]}--{match[2]}"
            yield from sorted(repository.glob(f"snapshots/*/{match[3]}"))


def _torch_checkpoints(environment: Mapping[str, str]) -> Path:
    torch_home = environment.get("TORCH_HOME", "").strip()
    home = Path(torch_home) if torch_home else _user_cache(environment) / "torch"
    return home / "hub" / "checkpoints"


def _hugging_face_cache(environment: Mapping[str, str]) -> Path:
    if cache := environment.get("HF_HUB_CACHE", "").strip():
        return Path(cache)
    hugging_face_home = environment.get("HF_HOME", "").strip()
    home = (
        Path(hugging_face_home) if hugging_face_home else _user_cache(environment) / "huggingface"
    )
    return home / "hub"


def _user_cache(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("XDG_CACHE_HOME", "").strip() or Path.home() / ".cache")


def _package_folders(names: Iterable[str]) -> Iterator[Path]:
    """Yield the `weights` folder of each installed package; nothing is imported."""
    for name in names:
        spec = importlib.util.find_spec(name)
        for location in (spec and spec.submodule_search_locations) or ():
            yield Path(location) / "weights"


def _has_expected_size(row: Checkpoint, path: Path) -> bool:
    """Return whether a file can be the row's. A row without checksum needs at least a size."""
    size = path.stat().st_size
    if row.bytes is not None:
        return size == row.bytes
    if row.sha256 is not None:
        return True
    if row.bytes_about is None:
        return False
    return abs(size - row.bytes_about) <= MAX_SIZE_ERROR * row.bytes_about
