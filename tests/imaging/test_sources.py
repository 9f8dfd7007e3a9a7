"""The sources of photos: paths, named files, contents in memory and photos."""

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from restore import Code, RestoreError
from restore.imaging.named_file import NamedFile
from restore.imaging.photo import Photo
from restore.imaging.sources import as_list, read_mask, read_source, source_name

PHOTO = Photo("b.png", np.zeros((16, 16), np.uint8))


def test_one_source_becomes_a_list() -> None:
    for source in ("a.png", Path("a.png"), NamedFile("a", Path("1")), PHOTO):
        assert as_list(source) == [source]
    assert as_list(["a.png", PHOTO]) == ["a.png", PHOTO]
    assert as_list(None) == []


ARRAY = np.zeros((16, 16, 3), np.uint8)


class SimpleDirectoryEntry:
    """A path of bytes, as `os.scandir(b".")` returns."""

    def __fspath__(self) -> bytes:
        return b"a.jpg"


def test_content_in_memory_gets_a_name_from_its_position() -> None:
    assert [source_name(each) for each in as_list(ARRAY)] == ["photo"]
    assert [source_name(each) for each in as_list((ARRAY,), "mask")] == ["mask"]
    several = as_list([ARRAY, "a.png", b"...", Image.new("L", (8, 8)), io.BytesIO()])
    names = ["photo 1", "a.png", "photo 3", "photo 4", "photo 5"]
    assert [source_name(each) for each in several] == names
    assert source_name(ARRAY) == "photo"


def test_array_is_one_source_and_an_iterator_several() -> None:
    assert len(as_list(ARRAY)) == 1
    assert as_list(iter(["a.png", "b.png"])) == ["a.png", "b.png"]


@pytest.mark.parametrize("source", [3, [3], object(), ["a.png", None]])
def test_object_of_another_type_is_refused(source: Any) -> None:
    with pytest.raises(RestoreError, match=r"of the type (int|object|NoneType)\. Pass") as caught:
        as_list(source)
    assert caught.value.code is Code.PHOTO_FORMAT


@pytest.mark.parametrize(
    ("source", "remedy"),
    [
        (torch.zeros(3, 16, 16, dtype=torch.uint8), "tensor.permute(1, 2, 0).cpu().numpy()"),
        (SimpleNamespace(__array__=ARRAY.__array__), "numpy.asarray(object)"),
        (SimpleNamespace(photos=(PHOTO,)), "results.photos"),
        ({"a.png": ARRAY}, "as a list"),
        ({"a.png", "b.png"}, "as a list"),
    ],
)
def test_object_that_has_photos_is_refused_with_the_remedy(source: Any, remedy: str) -> None:
    for sources in (source, [source]):
        with pytest.raises(RestoreError) as caught:
            as_list(sources, "mask")
        assert (caught.value.code, caught.value.photo) == (Code.PHOTO_FORMAT, "mask")
        assert remedy in caught.value.remedy
    with pytest.raises(RestoreError) as caught:
        read_source(source)
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "the path is empty"),
        ("https://host/a.jpg", "'https://host/a.jpg' is a URL"),
        ("file:///a.jpg", "'file:///a.jpg' is a URL"),
        ("data:image/png;base64,iVBO", "'data:image/png;base64,iVBO' is a URL"),
        (SimpleDirectoryEntry(), "the path b'a.jpg' is not a text"),
    ],
)
def test_text_that_is_no_path_is_refused_with_its_number(source: Any, reason: str) -> None:
    with pytest.raises(RestoreError) as caught:
        as_list(["a.png", source])
    assert (caught.value.code, caught.value.photo) == (Code.PHOTO_MISSING, "photo 2")
    assert caught.value.reason.startswith(reason)
    with pytest.raises(RestoreError) as caught:
        read_source(source)
    assert caught.value.reason.startswith(reason)


def test_folder_is_called_a_folder(tmp_path: Path) -> None:
    for folder in (tmp_path, "."):
        with pytest.raises(RestoreError, match=r"is a folder\. Pass the path of a file") as caught:
            read_source(folder)
        assert caught.value.code is Code.PHOTO_MISSING


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (np.zeros((16, 16, 4), np.uint8), None),
        (np.zeros((16, 16, 1), np.uint8), None),
        (np.zeros((16, 16, 3), np.float32), None),
        (np.zeros((16, 16), bool), None),
        (np.zeros((0, 16), np.uint8), None),
        (np.zeros((16, 16), ">u2"), None),
        (ARRAY, ARRAY),
        (ARRAY, ARRAY[:8, :, 0]),
        (ARRAY, ARRAY[..., 0].astype(np.uint16)),
    ],
)
def test_photo_of_pixels_that_no_task_accepts_is_refused(
    pixels: np.ndarray, alpha: np.ndarray | None
) -> None:
    with pytest.raises(RestoreError) as caught:
        read_source(Photo("x", pixels, alpha))
    assert (caught.value.code, caught.value.photo) == (Code.PHOTO_FORMAT, "x")


@pytest.mark.parametrize("pixels", [None, [[1]], torch.zeros(16, 16, dtype=torch.uint8)], ids=type)
def test_photo_without_an_array_is_refused(pixels: Any) -> None:
    alpha: Any = [[1]] if pixels is None else pixels
    for photo in (Photo("x", pixels), Photo("x", ARRAY, alpha)):
        with pytest.raises(RestoreError, match="an object of the type") as caught:
            read_source(photo)
        assert (caught.value.code, caught.value.photo) == (Code.PHOTO_FORMAT, "x")


def test_photo_whose_name_is_no_text_is_refused() -> None:
    name: Any = None
    with pytest.raises(RestoreError, match="name is None"):
        read_source(Photo(name, ARRAY))


def test_content_is_read_under_its_name() -> None:
    [first, second] = as_list([ARRAY, ARRAY])
    assert [read_source(each).name for each in (first, second)] == ["photo 1", "photo 2"]


def test_names_of_sources() -> None:
    assert source_name("folder/a.png") == "a.png"
    assert source_name(NamedFile("photo.jpg", Path("/tmp/1"))) == "photo.jpg"
    assert source_name(PHOTO) == "b.png"


def test_named_file_is_read_under_its_name(photo_file: Callable[..., Path]) -> None:
    assert read_source(NamedFile("original.png", photo_file("1.png"))).name == "original.png"
    assert read_source(PHOTO) is PHOTO


def test_error_about_a_mask_says_that_it_is_a_mask(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match=r"m\.png \(a mask\)"):
        read_mask(tmp_path / "m.png")
