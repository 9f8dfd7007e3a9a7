"""The sources of photos: paths, named files and photos."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from restore import RestoreError
from restore.imaging.named_file import NamedFile
from restore.imaging.photo import Photo
from restore.imaging.sources import as_list, read_mask, read_source, source_name

PHOTO = Photo("b.png", np.zeros((16, 16), np.uint8))


def test_one_source_becomes_a_list() -> None:
    for source in ("a.png", Path("a.png"), NamedFile("a", Path("1")), PHOTO):
        assert as_list(source) == [source]
    assert as_list(["a.png", PHOTO]) == ["a.png", PHOTO]
    assert as_list(None) == []


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
