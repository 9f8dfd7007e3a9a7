"""Tests of the records that a gateway remembers for a moment."""

import pytest
from sqlalchemy import Engine
from storedfiles import small_store

from restore.errors import Code, RestoreError
from restore.service import database, recent_files
from restore.service.files import FileStore
from restore.service.new_files import Draft, NewFiles
from restore.service.records import StoredFile
from restore.service.settings import Settings


@pytest.fixture
def store(engine: Engine, database_settings: Settings) -> FileStore:
    return small_store(engine, database_settings)


def recorded(store: FileStore, engine: Engine) -> StoredFile:
    with NewFiles(store) as new, database.write(engine) as connection:
        file_id = new.add(b"photo", Draft("anna", "a.jpg", "image/jpeg"))
        new.record(connection)
    file = store.get(file_id)
    assert file is not None
    return file


def test_new_file_is_remembered_until_it_is_deleted(store: FileStore, engine: Engine) -> None:
    file = recorded(store, engine)
    assert store.recent.get([file.id]) == {file.id: file}
    assert store.recent.get([file.id, "b" * 26]) is None
    assert store.delete(file.id)
    assert store.recent.get([file.id]) is None


def test_file_is_forgotten_after_a_while(
    store: FileStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_files, "RECENT_S", -1.0)
    assert store.recent.get([recorded(store, engine).id]) is None


def test_oldest_files_are_forgotten(
    store: FileStore, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent_files, "MAX_FILES", 2)
    files = [recorded(store, engine) for _ in range(3)]
    assert [store.recent.get([file.id]) is None for file in files] == [True, False, False]


def test_file_is_forgotten_if_its_transaction_fails(store: FileStore, engine: Engine) -> None:
    ids = []

    def fail() -> None:
        with NewFiles(store) as new, database.write(engine) as connection:
            ids.append(new.add(b"photo", Draft("anna", "a.jpg", "image/jpeg")))
            new.record(connection)
            assert store.recent.get(ids) is not None
            raise RestoreError(Code.QUEUE_FULL, "too many jobs", "Wait.")

    with pytest.raises(RestoreError):
        fail()
    assert store.recent.get(ids) is None
