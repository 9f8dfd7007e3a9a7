"""Tests of the names and types of stored files, which clients choose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from storedfiles import on_disk, small_store, upload

from restore.service.file_names import clean_name, clean_type
from restore.service.files import FileStore
from restore.service.settings import Settings


@pytest.fixture
def store(engine: Engine, database_settings: Settings) -> FileStore:
    return small_store(engine, database_settings)


NAMES = {
    "../../etc/passwd": "passwd",
    "C:\\Users\\me\\a.jpg": "a.jpg",
    "a\0b\r\nc\x1b[31m.jpg": "abc[31m.jpg",
    "..": "photo",
    "": "photo",
    "/": "photo",
    " é\u4e2d 1.jpg ": "é\u4e2d 1.jpg",
    "\u202egpj.exe": "gpj.exe",
    "x" * 500 + ".jpg": "x" * 196 + ".jpg",
}


def test_names_are_cleaned_and_never_paths(store: FileStore) -> None:
    stored = {name: upload(store, name=name) for name in NAMES}
    assert {name: file.name for name, file in stored.items()} == NAMES
    paths = [store.uploads / file.id[:2] / file.id for file in stored.values()]
    assert sorted(on_disk(store)) == sorted(paths)


@given(st.text())
def test_any_name_becomes_a_printable_name_without_folders(name: str) -> None:
    cleaned = clean_name(name)
    assert cleaned
    assert cleaned.isprintable()
    assert not set("/\\") & set(cleaned)
    assert cleaned not in {".", ".."}
    assert len(cleaned) <= 200
    cleaned.encode()


@pytest.mark.parametrize(
    ("given_type", "stored"),
    [
        ("image/PNG; charset=x", "image/png"),
        ("text/html\r\nX-Evil: 1", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("x", "application/octet-stream"),
    ],
)
def test_media_type_is_cleaned(given_type: str, stored: str) -> None:
    assert clean_type(given_type) == stored
