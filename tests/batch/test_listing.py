"""Tests of the listing of photos and the names of their results."""

from pathlib import Path

import pytest
from batchfakes import photo, write_photos

from restore.batch.folder import LocalFolder
from restore.batch.listing import list_photos, take_shard
from restore.errors import RestoreError


def names(folder: Path, *globs: str, recursive: bool = True) -> list[str]:
    listing = list_photos(LocalFolder(folder), globs, recursive=recursive)
    return [one.name for one in listing.photos]


def test_photos_are_listed_and_other_files_counted(tmp_path: Path) -> None:
    write_photos(tmp_path, "a.JPG", "b/c.tiff", "b/notes.txt", ".hidden.jpg")
    listing = list_photos(LocalFolder(tmp_path))
    assert [one.name for one in listing.photos] == ["a.JPG", "b/c.tiff"]
    assert listing.ignored == 1


def test_globs_choose_photos_by_name_or_path(tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "1950/a.tif", "1950/b.tif", "1960/a.tif", "x.raw")
    assert names(tmp_path, "a.*") == ["1950/a.tif", "1960/a.tif", "a.jpg"]
    assert names(tmp_path, "1950/*.tif") == ["1950/a.tif", "1950/b.tif"]
    assert names(tmp_path, "*.raw") == ["x.raw"]
    assert names(tmp_path, recursive=False) == ["a.jpg"]


@pytest.mark.parametrize("globs", [(), ("*.png",)])
def test_folder_without_photos_is_an_error(tmp_path: Path, globs: tuple[str, ...]) -> None:
    write_photos(tmp_path, "notes.txt")
    with pytest.raises(RestoreError, match=r"no files in .* \(1 other file\)"):
        list_photos(LocalFolder(tmp_path), globs)


@pytest.mark.parametrize(
    ("name", "shares_stem", "output_format", "expected"),
    [
        ("a.jpg", False, "jpg", "a.jpg"),
        ("a.JPEG", False, "jpg", "a.JPEG"),
        ("b/a.png", False, "jpg", "b/a.jpg"),
        ("b/a.png", True, "jpg", "b/a.png.jpg"),
        ("b/a.b.tif", False, "png", "b/a.b.png"),
        ("a.webp", True, "webp", "a.webp"),
    ],
)
def test_names_of_results(name: str, shares_stem: bool, output_format: str, expected: str) -> None:
    assert photo(name, shares_stem=shares_stem).output_name(output_format) == expected


def test_results_never_share_a_name(tmp_path: Path) -> None:
    write_photos(tmp_path, "a.jpg", "a.png", "A.tif", "b.tif", "sub/a.bmp")
    photos = list_photos(LocalFolder(tmp_path)).photos
    for output_format in ("jpg", "png", "webp"):
        results = {one.output_name(output_format).lower() for one in photos}
        assert len(results) == len(photos)


def test_shards_are_a_partition_that_does_not_change_with_new_photos() -> None:
    photos = [photo(f"{number}.jpg") for number in range(100)]
    shards = [take_shard(photos, index, 3) for index in (1, 2, 3)]
    assert sorted(one.name for shard in shards for one in shard) == sorted(p.name for p in photos)
    assert all(len(shard) > 20 for shard in shards)
    assert take_shard(photos[50:], 1, 3) == [one for one in shards[0] if one in photos[50:]]
