"""Tests of the tokens that give access to a file."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from storedfiles import small_store, upload

from restore.service.files import FileStore
from restore.service.settings import Settings


@pytest.fixture
def store(engine: Engine, database_settings: Settings) -> FileStore:
    return small_store(engine, database_settings)


def test_token_gives_access_to_one_file_until_it_expires(store: FileStore) -> None:
    file, other = upload(store), upload(store)
    token = store.url_token(file)
    assert store.check_token(file.id, token)
    assert not store.check_token(other.id, token)
    expired = replace(file, expires_at=file.created_at - timedelta(seconds=1))
    assert not store.check_token(file.id, store.url_token(expired))
    later = replace(file, expires_at=file.expires_at + timedelta(seconds=60))
    time, signature = token.split(".")
    assert store.check_token(file.id, store.url_token(later))
    assert not store.check_token(file.id, f"{int(time) + 60}.{signature}")


def test_forged_tokens_are_refused(store: FileStore) -> None:
    for token in ("", ".", "9999999999.", "9999999999.x", "x.y", "é.\ud800"):
        assert not store.check_token("a" * 26, token)


def test_tokens_are_valid_after_a_restart(
    store: FileStore, engine: Engine, database_settings: Settings
) -> None:
    file = upload(store)
    assert FileStore(engine, database_settings).check_token(file.id, store.url_token(file))
