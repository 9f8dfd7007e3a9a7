"""Tests of the weight store: verified files are returned, all others are rejected."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fileserver import sha256_of
from weightrows import BODY, OTHER, flip_a_byte, lite_row, put, row

from restore.errors import Code, RestoreError
from restore.models.catalog import Catalog
from restore.models.locations import downloads_folder
from restore.models.policy import Policy, resolve
from restore.models.store import State, WeightStore

StoreOf = Callable[..., WeightStore]
URL = "https://x.org/a"


class TestPaths:
    def test_downloads_by_task_and_embedded_files_beside_the_manifest(
        self, store_of: StoreOf, tmp_path: Path
    ) -> None:
        store = store_of(official := row("a", URL), embedded := lite_row())
        assert store.path_of(official) == tmp_path / "root" / "upscale" / "a.pth"
        assert store.path_of(embedded) == tmp_path / "manifest" / "lite" / "lite-upscale.pth"

    def test_root_defaults_to_the_downloads_folder(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        catalog = Catalog((), tmp_path)
        monkeypatch.delenv("RESTORE_WEIGHTS_DIR", raising=False)
        assert WeightStore(catalog).root == downloads_folder({})
        monkeypatch.setenv("RESTORE_WEIGHTS_DIR", "/opt/weights")
        assert WeightStore(catalog).root == Path("/opt/weights")
        assert WeightStore(catalog, tmp_path / "own").root == tmp_path / "own"


class TestVerification:
    def test_file_is_hashed_once_for_all_processes(
        self, store_of: StoreOf, hashed: list[str]
    ) -> None:
        store = store_of(checkpoint := row("a", URL))
        path = put(store, checkpoint)
        assert store.status(checkpoint) is State.PRESENT
        found = store.locate(checkpoint)
        assert (found.path, found.sha256, found.bytes) == (path, sha256_of(BODY), len(BODY))
        assert found.row == checkpoint
        assert store.status(checkpoint) is State.VERIFIED
        assert store_of(checkpoint).locate(checkpoint) == found
        assert hashed == ["a.pth"]

    def test_verify_always_hashes(self, store_of: StoreOf, hashed: list[str]) -> None:
        store = store_of(checkpoint := row("a", URL))
        path = put(store, checkpoint)
        store.locate(checkpoint)
        flip_a_byte(path, keep_time=True)
        with pytest.raises(RestoreError) as caught:
            store.verify(checkpoint)
        assert caught.value.code is Code.WEIGHTS_CORRUPT
        assert hashed == ["a.pth", "a.pth"]

    @pytest.mark.parametrize("facts", [{}, {"sha256": None}])
    def test_flipped_byte_error_names_file_and_both_checksums(
        self, store_of: StoreOf, facts: dict[str, Any]
    ) -> None:
        store = store_of(checkpoint := row("a", URL, **facts))
        path = put(store, checkpoint)
        store.locate(checkpoint)
        flip_a_byte(path)
        with pytest.raises(RestoreError) as caught:
            store.ensure(checkpoint)
        assert caught.value.code is Code.WEIGHTS_CORRUPT
        checksums = (sha256_of(BODY), sha256_of(path.read_bytes()))
        for text in ("a.pth", *checksums, "restore weights fetch upscale"):
            assert text in str(caught.value)

    def test_remedy_for_missing_files_names_the_folder_of_the_store(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The command would store them in the usual folder."""
        catalog = Catalog((row("a", URL),), tmp_path)
        folder = tmp_path / "my weights"
        command = "restore weights fetch upscale"
        remedy = WeightStore(catalog, folder).fetch_remedy("upscale")
        assert remedy == f"Run `RESTORE_WEIGHTS_DIR='{folder}' {command}`."
        monkeypatch.setenv("RESTORE_WEIGHTS_DIR", str(folder))
        for root in (folder, None):
            assert WeightStore(catalog, root).fetch_remedy("upscale") == f"Run `{command}`."

    def test_wrong_size_is_rejected_without_hashing(
        self, store_of: StoreOf, hashed: list[str]
    ) -> None:
        store = store_of(checkpoint := row("a", URL))
        put(store, checkpoint, BODY[:-1])
        assert store.status(checkpoint) is State.CORRUPT
        with pytest.raises(RestoreError, match="19999 bytes, expected 20000") as caught:
            store.locate(checkpoint)
        assert caught.value.code is Code.WEIGHTS_CORRUPT
        assert hashed == []

    def test_file_with_new_modification_time_is_hashed_again(
        self, store_of: StoreOf, hashed: list[str]
    ) -> None:
        store = store_of(checkpoint := row("a", URL))
        path = put(store, checkpoint)
        store.locate(checkpoint)
        os.utime(path, ns=(1, 1))
        assert store.status(checkpoint) is State.PRESENT
        store.locate(checkpoint)
        assert hashed == ["a.pth", "a.pth"]

    def test_record_with_another_checksum_is_ignored(self, store_of: StoreOf) -> None:
        store = store_of(checkpoint := row("a", URL))
        path = put(store, checkpoint, OTHER)
        mtime_ns = path.stat().st_mtime_ns
        record = {"bytes": len(OTHER), "mtime_ns": mtime_ns, "sha256": sha256_of(OTHER)}
        path.with_name("a.pth.verified.json").write_text(json.dumps(record))
        assert store.status(checkpoint) is State.PRESENT
        with pytest.raises(RestoreError):
            store.locate(checkpoint)

    @pytest.mark.parametrize("record", ["", "[]", '{"bytes": 1}', "null"])
    def test_damaged_record_is_ignored(self, store_of: StoreOf, record: str) -> None:
        store = store_of(checkpoint := row("a", URL))
        put(store, checkpoint).with_name("a.pth.verified.json").write_text(record)
        assert store.locate(checkpoint).sha256 == sha256_of(BODY)

    def test_read_only_folder_works_without_records(
        self, store_of: StoreOf, hashed: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise PermissionError(30, "Read-only file system")

        store = store_of(checkpoint := row("a", URL))
        put(store, checkpoint)
        monkeypatch.setattr(Path, "write_text", fail)
        for _ in range(2):
            assert store.locate(checkpoint).sha256 == sha256_of(BODY)
        assert hashed == ["a.pth", "a.pth"]

    def test_unreadable_file_is_named_with_the_reason(
        self, store_of: StoreOf, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Path) -> str:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr("restore.models.store.file_sha256", refuse)
        store = store_of(checkpoint := row("a", URL))
        path = put(store, checkpoint)
        for find in (store.locate, store.ensure):
            with pytest.raises(RestoreError) as caught:
                find(checkpoint)
            assert caught.value.reason == f"'{path}' cannot be read (permission denied)"
            assert caught.value.code is Code.WEIGHTS_MISSING

    def test_missing_file_error_has_the_remedy(self, store_of: StoreOf) -> None:
        store = store_of(checkpoint := row("a", URL))
        assert store.status(checkpoint) is State.MISSING
        for find in (store.locate, store.verify):
            with pytest.raises(RestoreError, match=r"a\.pth.*weights fetch upscale") as caught:
                find(checkpoint)
            assert caught.value.code is Code.WEIGHTS_MISSING

    def test_embedded_files_are_verified_without_records(self, store_of: StoreOf) -> None:
        store = store_of(checkpoint := lite_row())
        path = store.locate(checkpoint).path
        assert store.status(checkpoint) is State.EMBEDDED
        assert list(path.parent.iterdir()) == [path]
        flip_a_byte(path, keep_time=True)
        assert store.status(checkpoint) is State.CORRUPT
        with pytest.raises(RestoreError, match=r"lite-upscale\.pth"):
            store.locate(checkpoint)

    def test_embedded_row_without_checksum_is_rejected(self, store_of: StoreOf) -> None:
        store = store_of(checkpoint := row("a", variant="lite", embedded=True, bytes=0, sha256=""))
        with pytest.raises(RestoreError, match="restore weights refresh") as caught:
            store.locate(checkpoint)
        assert caught.value.code is Code.WEIGHTS_MANIFEST


@pytest.mark.shared
class TestOfficialFile:
    @pytest.fixture
    def store(self, shared: Path, tmp_path: Path) -> WeightStore:
        store = WeightStore(Catalog.load(), tmp_path, offline=True)
        path = store.path_of(store.catalog.find("upscale", "animevideov3"))
        path.parent.mkdir(parents=True)
        shutil.copyfile(shared / "weights" / path.name, path)
        return store

    def test_file_matches_the_shipped_manifest(self, store: WeightStore) -> None:
        resolved = resolve(store, "upscale", "animevideov3", Policy.OFFICIAL)
        expected = "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d"
        assert resolved.net.sha256 == expected

    def test_flipped_byte_is_rejected(self, store: WeightStore) -> None:
        flip_a_byte(store.path_of(store.catalog.find("upscale", "animevideov3")))
        with pytest.raises(
            RestoreError, match=r"realesr-animevideov3\.pth.*b8a8376811077954"
        ) as caught:
            resolve(store, "upscale", "animevideov3", Policy.AUTO)
        assert caught.value.code is Code.WEIGHTS_CORRUPT
