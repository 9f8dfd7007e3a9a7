"""Tests of the API keys in the database."""

import time
from pathlib import Path

import pytest

from restore.errors import Code, RestoreError
from restore.service import database, keys
from restore.service.keys import KeyStore
from restore.service.limits import KeyLimits
from restore.service.settings import Settings


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(keys, "SCRYPT_N", 2**4)
    engine = database.connect(Settings(data=tmp_path, database_url=None))
    yield KeyStore(engine)
    engine.dispose()


def test_secret_of_a_new_key_is_valid_and_is_not_stored(store: KeyStore, tmp_path: Path) -> None:
    key, secret = store.create("phone", KeyLimits(waiting_jobs=3))
    assert store.verify(secret) == key
    assert (key.name, key.waiting_jobs, key.requests_per_minute) == ("phone", 3, None)
    assert store.list() == (key,)
    random_part = secret.split("_", 2)[2].encode()
    assert not any(random_part in path.read_bytes() for path in tmp_path.iterdir())


def test_wrong_secrets_are_refused(store: KeyStore) -> None:
    _, secret = store.create("phone")
    _, other = store.create("laptop")
    key_id = secret.split("_")[1]
    mixed = f"rk_{key_id}_{other.split('_', 2)[2]}"
    for wrong in ("", "rk", "rk_", f"rk_{key_id}", f"rk_{key_id}_", mixed, secret + "x", "é" * 999):
        assert store.verify(wrong) is None, wrong
    assert store.verify(secret + "x" * 500) is None


def test_known_id_is_no_proof_after_the_secret_was_verified(store: KeyStore) -> None:
    key, secret = store.create("phone")
    assert store.verify(secret) == key
    assert store.verify(secret[:-1] + ("a" if secret[-1] != "a" else "b")) is None


def test_revoked_key_is_refused_at_once_by_the_store_and_soon_by_others(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = store.create("phone")
    store.verify(secret)
    assert store.recently_verified(secret) == key
    assert store.revoke(key.id).revoked_at is not None
    assert store.verify(secret) is None
    later_s = time.monotonic() + keys.RECHECK_S
    monkeypatch.setattr(time, "monotonic", lambda: later_s)
    assert store.recently_verified(secret) is None
    assert store.exists(), "a service whose keys are all revoked must not become open"


def test_hash_is_computed_once_for_a_secret(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = store.create("phone")
    store.verify(secret)
    monkeypatch.delattr(keys, "_scrypt")
    assert store.verify(secret) == key


def test_verified_secrets_take_limited_memory(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MAX_VERIFIED", 2)
    created = [store.create(f"key {number}") for number in range(3)]
    for key, secret in created:
        assert store.verify(secret) == key
    assert store.recently_verified(created[0][1]) is None
    assert store.recently_verified(created[2][1]) == created[2][0]


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 101])
def test_unusable_name_is_refused(store: KeyStore, name: str) -> None:
    with pytest.raises(RestoreError, match="the name of the key is") as caught:
        store.create(name)
    assert caught.value.code is Code.OPTION_INVALID
    assert not store.exists()


def test_key_that_cannot_be_revoked_is_named(store: KeyStore) -> None:
    with pytest.raises(RestoreError, match="the key 'nobody' does not exist"):
        store.revoke("nobody")
    key, _ = store.create("phone")
    store.revoke(key.id)
    with pytest.raises(RestoreError, match="is revoked already"):
        store.revoke(key.id)


def test_hashes_have_salts_and_their_own_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "SCRYPT_N", 2**5)
    first, second = keys.hash_secret("secret"), keys.hash_secret("secret")
    assert first != second
    monkeypatch.undo()
    assert keys.is_hash_of(first, "secret")
    assert not keys.is_hash_of(first, "Secret")
    assert keys.SCRYPT_N * keys.SCRYPT_R * 128 == 16 * 2**20
