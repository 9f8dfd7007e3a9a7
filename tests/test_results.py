"""Results: one file, contents in memory, and what is refused."""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from photofiles import picture
from PIL import Image

from restore import Code, RestoreError, Restorer, Results, open_photo

PhotoFile = Callable[..., Path]


@pytest.fixture(scope="module")
def results(lite: Restorer) -> Results:
    return lite.run("upscale", picture(), scale=1)


@pytest.mark.parametrize(
    ("name", "file_format"), [("a.PNG", "PNG"), ("a.jpeg", "JPEG"), ("a.webp", "WEBP")]
)
def test_suffix_of_a_file_decides_its_format(
    results: Results, tmp_path: Path, name: str, file_format: str
) -> None:
    path = tmp_path / "new" / name
    assert results.save_as(str(path)) == path
    with Image.open(path) as image:
        assert (image.format, image.size) == (file_format, (64, 48))
    assert results.reports[0].output["bytes"] == path.stat().st_size
    assert list(path.parent.iterdir()) == [path]


def test_file_equals_the_one_of_save(lite: Restorer, photo_file: PhotoFile, tmp_path: Path) -> None:
    """With `same`, a JPEG keeps its tables."""
    path = photo_file("a.jpg")
    results = lite.run("upscale", path, scale=1, output_format="same", strength=0)
    [expected] = results.save(tmp_path / "folder")
    written = results.save_as(tmp_path / "result.jpg")
    assert written.read_bytes() == expected.read_bytes() == results.to_bytes()[0]
    assert results.save_as(tmp_path / "a.png").read_bytes()[1:4] == b"PNG"


def test_warnings_of_encoding_are_in_the_report(lite: Restorer, tmp_path: Path) -> None:
    results = lite.run("upscale", np.uint16(257) * picture(), scale=1, output_format="png")
    results.save_as(tmp_path / "a.png")
    assert results.reports[0].warnings == []
    results.save_as(tmp_path / "a.jpg")
    assert "16 bits were reduced to 8" in results.reports[0].warnings[0]


def test_name_that_no_file_can_have_is_refused(results: Results, tmp_path: Path) -> None:
    with pytest.raises(RestoreError) as caught:
        results.save_as(tmp_path / f"{'a' * 300}.png")
    assert caught.value.code is Code.OUTPUT_UNWRITABLE


def test_link_to_a_missing_file_is_not_replaced(results: Results, tmp_path: Path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to("missing.png")
    with pytest.raises(RestoreError, match="exists already"):
        results.save_as(link)
    assert link.is_symlink()


def test_existing_file_is_only_replaced_if_asked(results: Results, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_text("old")
    with pytest.raises(RestoreError, match=r"'a\.jpg' exists already") as caught:
        results.save_as(path)
    assert caught.value.code is Code.OUTPUT_UNWRITABLE
    assert path.read_text() == "old"
    results.save_as(path, overwrite=True)
    assert path.read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize("name", ["a", "a.tif", "a.gif", "folder/"])
def test_other_suffixes_are_refused(results: Results, tmp_path: Path, name: str) -> None:
    with pytest.raises(RestoreError, match=r"Use \.jpg, \.png or \.webp") as caught:
        results.save_as(tmp_path / name)
    assert caught.value.code is Code.OPTION_INVALID
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.png", "a"])
def test_folder_is_not_replaced_by_a_file(results: Results, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    for overwrite in (False, True):
        with pytest.raises(RestoreError, match=rf"{name}' is a folder\. Name a file") as caught:
            results.save_as(tmp_path / name, overwrite=overwrite)
        assert caught.value.code is Code.OUTPUT_UNWRITABLE


@pytest.mark.parametrize("value", [None, 3, b"a.png", ["a.png"], io.BytesIO()], ids=type)
def test_what_is_no_path_is_refused(results: Results, value: Any) -> None:
    for save, argument in ((results.save, "folder"), (results.save_as, "path")):
        with pytest.raises(RestoreError, match=f"{argument} is ") as caught:
            save(value)
        assert caught.value.code is Code.OPTION_INVALID


def test_prefix_that_is_no_text_is_refused(results: Results, tmp_path: Path) -> None:
    prefix: Any = 3
    with pytest.raises(RestoreError, match="prefix is 3"):
        results.save(tmp_path, prefix)


@pytest.mark.parametrize("name", ["\0", "\ud800"])
def test_folder_that_cannot_exist_is_refused(results: Results, tmp_path: Path, name: str) -> None:
    with pytest.raises(RestoreError) as caught:
        results.save(tmp_path / name)
    assert caught.value.code is Code.OUTPUT_UNWRITABLE


def test_one_file_for_two_photos_is_refused(lite: Restorer, tmp_path: Path) -> None:
    results = lite.run("upscale", [picture(), picture()], scale=1)
    with pytest.raises(RestoreError, match=r"2 photos\. Use save\(folder\)") as caught:
        results.save_as(tmp_path / "a.jpg")
    assert caught.value.code is Code.PHOTO_COUNT


def test_file_that_cannot_be_written_is_an_error(results: Results, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RestoreError) as caught:
        results.save_as(tmp_path / "file" / "a.jpg")
    assert caught.value.code is Code.OUTPUT_UNWRITABLE


def test_contents_are_those_of_the_files(lite: Restorer, tmp_path: Path) -> None:
    results = lite.run("upscale", [picture(), picture(40, 40)], scale=1, output_format="webp")
    contents = results.to_bytes()
    assert contents == [path.read_bytes() for path in results.save(tmp_path)]
    assert [open_photo(io.BytesIO(data)).width for data in contents] == [64, 40]
    assert "encode" in results.reports[1].stages_ms


def test_inspection_has_no_photo_to_encode(lite: Restorer, tmp_path: Path) -> None:
    results = lite.run("inspect", picture())
    for attempt in (results.to_bytes, lambda: results.save_as(tmp_path / "a.jpg")):
        with pytest.raises(RestoreError, match="inspect changes no photo"):
            attempt()


def test_results_are_short_to_show_and_can_be_pickled(results: Results) -> None:
    """Notebooks show them, and pools of processes return them."""
    assert "<Photo 'photo': 64x48 RGB, 8 bits>" in repr(results)
    assert len(repr(results)) < 200
    again = pickle.loads(pickle.dumps(results))
    np.testing.assert_array_equal(again.photos[0].pixels, results.photos[0].pixels)
    assert again.reports[0].to_dict() == results.reports[0].to_dict()
