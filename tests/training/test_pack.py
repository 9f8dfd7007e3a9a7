"""Packed training photos: the same split as the folder, and the limit of the size."""

import dataclasses
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import __main__ as command_line
from training.dataset import load_patch_sources
from training.pack import pack_photos, unpacked
from training.paths import list_photos
from training.recipe import Folder
from training.registry import RECIPES

LARGE = 10**8


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photos of grey noise of 144 px, two faces and two damage maps."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, count in (("natural", 10), ("faces", 2), ("damage", 2)):
        (folder / name).mkdir()
        for index in range(count):
            pixels = rng.integers(0, 256, (144, 144, 1), dtype=np.uint8).repeat(3, axis=2)
            Image.fromarray(pixels).save(folder / name / f"{index}.png", compress_level=1)
    return folder


@pytest.mark.parametrize("share", [1.0, 0.8])
def test_archive_has_the_split_of_the_folder(tmp_path: Path, photos: Path, share: float) -> None:
    recipe, archive = RECIPES["denoise"], tmp_path / "photos.tar"
    pack_photos(archive, photos, [recipe], LARGE)
    full_bytes = archive.stat().st_size
    pack_photos(archive, photos, [recipe], round(share * full_bytes))
    assert archive.stat().st_size <= share * full_bytes
    with unpacked(archive) as folder:
        packed = load_patch_sources(recipe, folder)
    for own, other in zip(packed, load_patch_sources(recipe, photos), strict=True):
        assert len(own.pairs) == len(other.pairs)
        for (first, _), (second, _) in zip(own.pairs, other.pairs, strict=True):
            difference = np.abs(first.astype(float) - second).mean()
            assert difference == 0.0 if share == 1.0 else 0.0 < difference < 12.0
    assert not folder.exists()


def test_only_the_folders_of_the_recipes_are_packed(tmp_path: Path, photos: Path) -> None:
    pack_photos(tmp_path / "photos.tar", photos, [RECIPES["inpaint"]], LARGE)
    with unpacked(tmp_path / "photos.tar") as folder:
        names = {path.name for path in folder.iterdir()}
        assert names == {"natural", "faces", "damage"}
        for name in names:
            packed, original = (list_photos(path / name) for path in (folder, photos))
            assert [file.read_bytes() for file in packed] == [f.read_bytes() for f in original]


def test_optional_folder_is_packed_if_present(tmp_path: Path, photos: Path) -> None:
    extra = Folder("extra", is_optional=True)
    recipe = dataclasses.replace(RECIPES["denoise"], folders=(Folder("natural"), extra))
    own = tmp_path / "own"
    shutil.copytree(photos / "natural", own / "natural")
    for names in ({"natural"}, {"natural", "extra"}):
        for name in names - {"natural"}:
            shutil.copytree(photos / "natural", own / name)
        pack_photos(tmp_path / "photos.tar", own, [recipe], LARGE)
        with unpacked(tmp_path / "photos.tar") as folder:
            assert {path.name for path in folder.iterdir()} == names


def test_folder_is_not_unpacked(photos: Path) -> None:
    with unpacked(photos) as folder:
        assert folder == photos


def test_too_small_limit_is_an_error(tmp_path: Path, photos: Path) -> None:
    with pytest.raises(SystemExit, match="allow more with --megabytes"):
        pack_photos(tmp_path / "photos.tar", photos, [RECIPES["denoise"]], 1000)


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="has no folder natural/"):
        pack_photos(tmp_path / "photos.tar", tmp_path, [RECIPES["denoise"]], LARGE)


def test_command_line_packs(tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "photos.tar"
    arguments = f"pack {archive} --photos {photos} --recipes faces --megabytes 5"
    monkeypatch.setattr(sys, "argv", ["training", *arguments.split()])
    command_line.main()
    with unpacked(archive) as folder:
        assert [path.name for path in folder.iterdir()] == ["faces"]
