"""Tests of the weight store: verified files are returned, all others are rejected."""

import io
import json
import logging
import multiprocessing
import os
import shutil
import threading
import zipfile
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from downloadfixtures import set_free_bytes
from fileserver import FileServer, closed_port_url, sha256_of
from weightrows import BODY, OTHER, lite_row, put, row

from restore.errors import Code, RestoreError
from restore.models import store as store_module
from restore.models.catalog import Catalog, Checkpoint
from restore.models.locations import downloads_folder
from restore.models.policy import Policy, resolve
from restore.models.store import State, WeightStore

StoreOf = Callable[..., WeightStore]
URL = "https://x.org/a"


def flip_a_byte(path: Path, *, keep_time: bool = False) -> None:
    facts = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    # The clock of a file system may not advance between two writes.
    mtime_ns = facts.st_mtime_ns if keep_time else facts.st_mtime_ns + 1_000_000
    os.utime(path, ns=(mtime_ns, mtime_ns))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that the store hashes."""
    names: list[str] = []
    original = store_module.file_sha256

    def record(path: Path) -> str:
        names.append(path.name)
        return original(path)

    monkeypatch.setattr(store_module, "file_sha256", record)
    return names


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


class TestDownloads:
    def test_file_is_downloaded_once_and_not_hashed_again(
        self, store_of: StoreOf, server: FileServer, hashed: list[str]
    ) -> None:
        store = store_of(checkpoint := row("a", server.add("a", BODY)))
        assert store.ensure(checkpoint).path.read_bytes() == BODY
        assert store.ensure(checkpoint).sha256 == sha256_of(BODY)
        assert len(server.log) == 1
        assert hashed == []

    def test_progress_is_reported(self, server: FileServer, tmp_path: Path) -> None:
        events: list[tuple[str, int, int]] = []
        catalog = Catalog((checkpoint := row("a", server.add("a", BODY)),), tmp_path)
        store = WeightStore(catalog, tmp_path, progress=lambda *event: events.append(event))
        store.ensure(checkpoint)
        assert events[-1] == ("a.pth", len(BODY), len(BODY))

    def test_mirrors_are_tried_in_order(self, store_of: StoreOf, server: FileServer) -> None:
        good = server.add("good", BODY)
        urls = [
            closed_port_url("a"),
            server.url("absent"),
            server.add("page", BODY, kind="text/html"),
            server.add("wrong", OTHER),
            good,
        ]
        store = store_of(checkpoint := row("a", *urls))
        assert store.ensure(checkpoint).path.read_bytes() == BODY
        assert [path for path, _ in server.log] == ["/absent", "/page", "/wrong", "/good"]

    def test_error_names_every_address_with_its_reason(
        self, store_of: StoreOf, server: FileServer
    ) -> None:
        dead, absent = closed_port_url("x/dead"), server.url("absent?key=secret")
        store = store_of(checkpoint := row("a", dead, absent, server.add("wrong", OTHER)))
        with pytest.raises(RestoreError) as caught:
            store.ensure(checkpoint)
        assert caught.value.code is Code.WEIGHTS_UNREACHABLE
        for text in (
            "a.pth",
            f"{urlsplit(dead).netloc} cannot be reached",
            "/absent: HTTP 404",
            f"/wrong: sent a file with sha256 {sha256_of(OTHER)}",
        ):
            assert text in str(caught.value)
        assert "secret" not in str(caught.value)
        assert not store.path_of(checkpoint).exists()

    def test_corrupt_file_is_not_replaced(self, store_of: StoreOf, server: FileServer) -> None:
        store = store_of(checkpoint := row("a", server.add("a", BODY)))
        path = put(store, checkpoint, OTHER)
        with pytest.raises(RestoreError) as caught:
            store.ensure(checkpoint)
        assert caught.value.code is Code.WEIGHTS_CORRUPT
        assert path.read_bytes() == OTHER
        assert server.log == []

    def test_offline_makes_no_request(self, store_of: StoreOf, server: FileServer) -> None:
        store = store_of(checkpoint := row("a", server.add("a", BODY)), offline=True)
        with pytest.raises(RestoreError) as caught:
            store.ensure(checkpoint)
        assert caught.value.code is Code.WEIGHTS_MISSING
        assert server.log == []

    def test_root_that_cannot_be_created(self, server: FileServer, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        catalog = Catalog((checkpoint := row("a", server.add("a", BODY)),), tmp_path)
        with pytest.raises(RestoreError, match="RESTORE_WEIGHTS_DIR") as caught:
            WeightStore(catalog, tmp_path / "file").ensure(checkpoint)
        assert caught.value.code is Code.WEIGHTS_MISSING

    def test_without_published_checksum_that_of_the_first_download_is_required(
        self, store_of: StoreOf, server: FileServer
    ) -> None:
        checkpoint = row("a", server.add("a", BODY), sha256=None)
        store = store_of(checkpoint)
        store.ensure(checkpoint).path.unlink()
        server.add("a", OTHER)
        with pytest.raises(RestoreError, match=sha256_of(BODY)) as caught:
            store.ensure(checkpoint)
        assert caught.value.code is Code.WEIGHTS_UNREACHABLE

    def test_file_without_known_checksum_is_logged(
        self, store_of: StoreOf, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = store_of(checkpoint := row("a", URL, sha256=None))
        put(store, checkpoint)
        with caplog.at_level(logging.WARNING):
            store.locate(checkpoint)
        assert sha256_of(BODY) in caplog.text

    def test_full_disk(
        self, store_of: StoreOf, server: FileServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        set_free_bytes(monkeypatch, 1)
        store = store_of(checkpoint := row("a", server.add("a", BODY)))
        with pytest.raises(RestoreError) as caught:
            store.ensure(checkpoint)
        assert caught.value.code is Code.WEIGHTS_NO_SPACE

    def test_two_processes_download_a_file_once(self, server: FileServer, tmp_path: Path) -> None:
        server.add("a", BODY, stall=SecondRequestOrTimeout(server))
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(2)
        arguments = (server.url("a"), str(tmp_path), barrier)
        processes = [context.Process(target=ensure_in_a_process, args=arguments) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0]
        assert len(server.log) == 1
        assert (tmp_path / "upscale" / "a.pth").read_bytes() == BODY


class SecondRequestOrTimeout(threading.Event):
    """Delays a response until a second request arrives, or for half a second.

    That is enough for a process that does not wait for the lock.
    """

    def __init__(self, server: FileServer) -> None:
        super().__init__()
        self._second, self._server = threading.Event(), server

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        if len(self._server.log) > 1:
            self._second.set()
        return self._second.wait(0.5)


def ensure_in_a_process(url: str, root: str, barrier: Barrier) -> None:
    checkpoint = row("a", url)
    store = WeightStore(Catalog((checkpoint,), Path(root)), Path(root))
    barrier.wait(30)
    assert store.ensure(checkpoint).sha256 == sha256_of(BODY)


class TestArchives:
    @pytest.fixture
    def archive(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as opened:
            opened.writestr("checkpoints/a", BODY)
            opened.writestr("checkpoints/b", OTHER)
        return buffer.getvalue()

    def rows(self, url: str) -> tuple[Checkpoint, Checkpoint]:
        unknown = {"bytes": None, "sha256": None}
        return (
            row("a", archive=url, member="checkpoints/a"),
            row("b", archive=url, member="checkpoints/b", body=OTHER, **unknown),
        )

    def test_one_member_is_downloaded_with_range_requests(
        self, store_of: StoreOf, server: FileServer, archive: bytes
    ) -> None:
        a, b = self.rows(server.add("x/c.zip", archive))
        store = store_of(a, b)
        assert store.ensure(a).path.read_bytes() == BODY
        assert store.status(b) is State.MISSING
        assert store.ensure(b).sha256 == sha256_of(OTHER)
        assert all(range_header for _, range_header in server.log)

    def test_without_ranges_the_zip_is_downloaded_once_for_all_rows(
        self, store_of: StoreOf, server: FileServer, archive: bytes
    ) -> None:
        a, b = self.rows(server.add("x/c.zip", archive, ranges=False))
        store = store_of(a, b)
        assert store.ensure(a).path.read_bytes() == BODY
        assert store.ensure(b).path.read_bytes() == OTHER
        assert [header for _, header in server.log if header is None] == [None]
        assert not store.path_of(a).with_name("c.zip").exists()

    def test_wrong_member_is_rejected_and_the_others_are_not(
        self, store_of: StoreOf, server: FileServer, archive: bytes
    ) -> None:
        a, _ = self.rows(server.add("x/c.zip", archive, ranges=False))
        wrong = row("w", archive=a.archive, member="checkpoints/b")
        store = store_of(a, wrong)
        with pytest.raises(RestoreError, match=sha256_of(OTHER)):
            store.ensure(wrong)
        assert store.ensure(a).sha256 == sha256_of(BODY)
        assert not store.path_of(wrong).exists()

    def test_mirror_of_a_member(self, store_of: StoreOf, server: FileServer) -> None:
        url = server.add("a", BODY)
        checkpoint = row("a", url, archive=server.url("absent.zip"), member="checkpoints/a")
        assert store_of(checkpoint).ensure(checkpoint).sha256 == sha256_of(BODY)


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
