"""Tests of the downloads of the weight store: addresses, failures, processes, zip archives."""

import io
import logging
import multiprocessing
import threading
import zipfile
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from downloadfixtures import set_free_bytes
from fileserver import FileServer, closed_port_url, sha256_of
from weightrows import BODY, OTHER, put, row

from restore.errors import Code, RestoreError
from restore.models.catalog import Catalog, Checkpoint
from restore.models.store import State, WeightStore

StoreOf = Callable[..., WeightStore]
URL = "https://x.org/a"


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
        place = f"cannot be stored in '{tmp_path / 'file'}' (not a directory)"
        assert caught.value.reason.endswith(place)
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
