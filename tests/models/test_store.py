"""The weight store: what is verified is returned, and what is not is refused by name."""

import io
import json
import logging
import multiprocessing
import os
import shutil
import threading
import zipfile
from pathlib import Path

import pytest
from fileserver import FileServer, closed_port_url, sha
from weightrows import BODY, OTHER, lite_row, put, row

from restore.errors import Code, RestoreError
from restore.models import store as weights
from restore.models.catalog import Catalog, Checkpoint
from restore.models.store import Policy, State, WeightStore


def flip_a_byte(path: Path, *, keep_time: bool = False) -> None:
    facts = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    # A file system's clock may stand still between two writes, so the time is set.
    later = facts.st_mtime_ns if keep_time else facts.st_mtime_ns + 1_000_000
    os.utime(path, ns=(later, later))


@pytest.fixture
def hashed(monkeypatch) -> list[str]:
    """Names of the files that the store hashes."""
    names: list[str] = []
    original = weights.file_sha256
    monkeypatch.setattr(
        weights, "file_sha256", lambda path: names.append(path.name) or original(path)
    )
    return names


class TestPlaces:
    def test_by_task_and_embedded_beside_the_manifest(self, store_of, tmp_path):
        store = store_of(row("a", "https://x.org/a"), lite_row())
        assert store.path_of(store.catalog.get("a")) == tmp_path / "root" / "upscale" / "a.pth"
        assert (
            store.path_of(store.catalog.get("lite-upscale"))
            == tmp_path / "manifest" / "lite" / "lite-upscale.pth"
        )

    def test_root_from_the_environment_else_beside_the_manifest(self, monkeypatch, tmp_path):
        catalog = Catalog((), tmp_path)
        monkeypatch.delenv("RESTORE_WEIGHTS_DIR", raising=False)
        assert WeightStore(catalog).root == tmp_path
        monkeypatch.setenv("RESTORE_WEIGHTS_DIR", "/opt/weights")
        assert WeightStore(catalog).root == Path("/opt/weights")
        assert WeightStore(catalog, tmp_path / "own").root == tmp_path / "own"


class TestVerification:
    def test_hashed_once_and_remembered_by_other_processes(self, store_of, hashed):
        checkpoint = row("a", "https://x.org/a")
        store = store_of(checkpoint)
        path = put(store, checkpoint)
        assert store.status(checkpoint) is State.PRESENT
        found = store.locate(checkpoint)
        assert (found.path, found.sha256, found.bytes, found.row) == (
            path,
            sha(BODY),
            len(BODY),
            checkpoint,
        )
        assert store.status(checkpoint) is State.VERIFIED
        assert store_of(checkpoint).locate(checkpoint) == found
        assert hashed == ["a.pth"]

    def test_verify_always_hashes(self, store_of, hashed):
        checkpoint = row("a", "https://x.org/a")
        store = store_of(checkpoint)
        path = put(store, checkpoint)
        store.locate(checkpoint)
        flip_a_byte(path, keep_time=True)
        with pytest.raises(RestoreError) as refused:
            store.verify(checkpoint)
        assert refused.value.code is Code.WEIGHTS_CORRUPT
        assert hashed == ["a.pth", "a.pth"]

    @pytest.mark.parametrize("known", [True, False])
    def test_a_flipped_byte_is_refused_by_name_with_both_sums(self, store_of, known):
        checkpoint = (
            row("a", "https://x.org/a") if known else row("a", "https://x.org/a", sha256=None)
        )
        store = store_of(checkpoint)
        path = put(store, checkpoint)
        store.locate(checkpoint)
        flip_a_byte(path)
        with pytest.raises(RestoreError) as refused:
            store.ensure(checkpoint)
        assert refused.value.code is Code.WEIGHTS_CORRUPT
        for named in (
            "a.pth",
            sha(BODY),
            sha(path.read_bytes()),
            "python -m restore weights fetch upscale",
        ):
            assert named in str(refused.value)

    def test_a_wrong_size_is_refused_without_hashing(self, store_of, hashed):
        checkpoint = row("a", "https://x.org/a")
        store = store_of(checkpoint)
        put(store, checkpoint, BODY[:-1])
        assert store.status(checkpoint) is State.CORRUPT
        with pytest.raises(RestoreError, match="19999 bytes, expected 20000") as refused:
            store.locate(checkpoint)
        assert refused.value.code is Code.WEIGHTS_CORRUPT
        assert hashed == []

    def test_a_touched_file_is_hashed_again_and_stays_good(self, store_of, hashed):
        checkpoint = row("a", "https://x.org/a")
        store = store_of(checkpoint)
        path = put(store, checkpoint)
        store.locate(checkpoint)
        os.utime(path, ns=(1, 1))
        assert store.status(checkpoint) is State.PRESENT
        store.locate(checkpoint)
        assert hashed == ["a.pth", "a.pth"]

    def test_a_record_of_another_sum_is_not_believed(self, store_of):
        checkpoint = row("a", "https://x.org/a")
        store = store_of(checkpoint)
        path = put(store, checkpoint, OTHER)
        record = {"bytes": len(OTHER), "mtime_ns": path.stat().st_mtime_ns, "sha256": sha(OTHER)}
        path.with_name("a.pth.verified.json").write_text(json.dumps(record))
        assert store.status(checkpoint) is State.PRESENT
        with pytest.raises(RestoreError):
            store.locate(checkpoint)

    @pytest.mark.parametrize("record", ["", "[]", '{"bytes": 1}', "null"])
    def test_a_damaged_record_costs_a_hash(self, store_of, record):
        checkpoint = row("a", "https://x.org/a")
        store = store_of(checkpoint)
        put(store, checkpoint).with_name("a.pth.verified.json").write_text(record)
        assert store.locate(checkpoint).sha256 == sha(BODY)

    def test_a_root_that_cannot_be_written_to_works(self, store_of, hashed, monkeypatch):
        checkpoint = row("a", "https://x.org/a")
        store = store_of(checkpoint)
        put(store, checkpoint)
        monkeypatch.setattr(Path, "write_text", _read_only)
        assert store.locate(checkpoint).sha256 == store.locate(checkpoint).sha256 == sha(BODY)
        assert hashed == ["a.pth", "a.pth"]

    def test_missing_is_named_with_the_remedy(self, store_of):
        store = store_of(checkpoint := row("a", "https://x.org/a"))
        assert store.status(checkpoint) is State.MISSING
        for find in (store.locate, store.verify):
            with pytest.raises(RestoreError, match=r"a\.pth.*weights fetch upscale") as refused:
                find(checkpoint)
            assert refused.value.code is Code.WEIGHTS_MISSING

    def test_embedded_files_leave_no_records(self, store_of):
        store = store_of(checkpoint := lite_row())
        path = store.locate(checkpoint).path
        assert store.status(checkpoint) is State.EMBEDDED
        assert list(path.parent.iterdir()) == [path]
        flip_a_byte(path, keep_time=True)
        assert store.status(checkpoint) is State.CORRUPT
        with pytest.raises(RestoreError, match=r"lite-upscale\.pth"):
            store.locate(checkpoint)

    def test_an_embedded_row_without_a_sum_trusts_nothing(self, store_of):
        store = store_of(checkpoint := row("a", variant="lite", embedded=True, bytes=0, sha256=""))
        with pytest.raises(RestoreError) as refused:
            store.locate(checkpoint)
        assert refused.value.code is Code.WEIGHTS_MANIFEST


def _read_only(*_: object, **__: object) -> None:
    raise PermissionError(30, "Read-only file system")


class TestFetching:
    def test_downloads_once(self, store_of, server, hashed):
        store = store_of(checkpoint := row("a", server.add("a", BODY)))
        assert store.ensure(checkpoint).path.read_bytes() == BODY
        assert store.ensure(checkpoint).sha256 == sha(BODY)
        assert len(server.log) == 1
        assert hashed == []  # summed while it arrived

    def test_progress_is_heard(self, server, tmp_path):
        heard = []
        catalog = Catalog((checkpoint := row("a", server.add("a", BODY)),), tmp_path)
        WeightStore(catalog, tmp_path, progress=lambda *event: heard.append(event)).ensure(
            checkpoint
        )
        assert heard[-1] == ("a.pth", len(BODY), len(BODY))

    def test_mirrors_in_turn(self, store_of, server):
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

    def test_when_all_fail_each_is_named_with_its_reason(self, store_of, server):
        urls = [
            closed_port_url("x/dead"),
            server.url("absent?key=secret"),
            server.add("wrong", OTHER),
        ]
        store = store_of(checkpoint := row("a", *urls))
        with pytest.raises(RestoreError) as refused:
            store.ensure(checkpoint)
        assert refused.value.code is Code.WEIGHTS_UNREACHABLE
        for named in (
            "a.pth",
            "/x/dead: cannot be reached",
            "/absent: HTTP 404",
            f"/wrong: sent a file with sha256 {sha(OTHER)}",
        ):
            assert named in str(refused.value)
        assert "secret" not in str(refused.value)
        assert not store.path_of(checkpoint).exists()

    def test_a_damaged_file_is_not_replaced(self, store_of, server):
        store = store_of(checkpoint := row("a", server.add("a", BODY)))
        path = put(store, checkpoint, OTHER)
        with pytest.raises(RestoreError) as refused:
            store.ensure(checkpoint)
        assert refused.value.code is Code.WEIGHTS_CORRUPT
        assert path.read_bytes() == OTHER
        assert server.log == []

    def test_offline(self, store_of, server):
        store = store_of(checkpoint := row("a", server.add("a", BODY)), offline=True)
        with pytest.raises(RestoreError) as refused:
            store.ensure(checkpoint)
        assert refused.value.code is Code.WEIGHTS_MISSING
        assert server.log == []

    def test_a_root_that_cannot_be_made(self, server, tmp_path):
        (tmp_path / "file").write_text("")
        catalog = Catalog((checkpoint := row("a", server.add("a", BODY)),), tmp_path)
        with pytest.raises(RestoreError, match="RESTORE_WEIGHTS_DIR") as refused:
            WeightStore(catalog, tmp_path / "file").ensure(checkpoint)
        assert refused.value.code is Code.WEIGHTS_MISSING

    def test_without_a_published_sum_the_first_one_holds(self, store_of, server, caplog):
        checkpoint = row("a", server.add("a", BODY), sha256=None)
        store = store_of(checkpoint)
        path = store.ensure(checkpoint).path
        path.unlink()
        server.add("a", OTHER)
        with pytest.raises(RestoreError, match=sha(BODY)) as refused:
            store.ensure(checkpoint)
        assert refused.value.code is Code.WEIGHTS_UNREACHABLE

    def test_a_file_put_there_by_hand_without_a_published_sum_is_said_so(self, store_of, caplog):
        store = store_of(checkpoint := row("a", "https://x.org/a", sha256=None))
        put(store, checkpoint)
        with caplog.at_level(logging.WARNING):
            store.locate(checkpoint)
        assert sha(BODY) in caplog.text

    def test_no_space(self, store_of, server, monkeypatch):
        usage = shutil.disk_usage("/")
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1))
        store = store_of(checkpoint := row("a", server.add("a", BODY)))
        with pytest.raises(RestoreError) as refused:
            store.ensure(checkpoint)
        assert refused.value.code is Code.WEIGHTS_NO_SPACE

    def test_two_processes_at_once(self, server, tmp_path):
        second_request = threading.Event()
        server.add("a", BODY, stall=_SecondOr(second_request, server))
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(2)
        work = (server.url("a"), str(tmp_path), barrier)
        processes = [context.Process(target=ensure_in_a_process, args=work) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0, 0]
        assert len(server.log) == 1
        assert (tmp_path / "upscale" / "a.pth").read_bytes() == BODY


class _SecondOr(threading.Event):
    """Holds an answer back until a second request has come, or half a second: time for a process that does not wait its turn."""

    def __init__(self, second: threading.Event, server: FileServer) -> None:
        super().__init__()
        self._second, self._server = second, server

    def wait(self, timeout: float | None = None) -> bool:
        if len(self._server.log) > 1:
            self._second.set()
        return self._second.wait(0.5)


def ensure_in_a_process(url: str, root: str, barrier) -> None:
    checkpoint = row("a", url)
    store = WeightStore(Catalog((checkpoint,), Path(root)), Path(root))
    barrier.wait(30)
    assert store.ensure(checkpoint).sha256 == sha(BODY)


class TestArchives:
    @pytest.fixture
    def body(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("checkpoints/a", BODY)
            archive.writestr("checkpoints/b", OTHER)
        return buffer.getvalue()

    def rows(self, url: str) -> tuple[Checkpoint, Checkpoint]:
        return (
            row("a", archive=url, member="checkpoints/a"),
            row("b", archive=url, member="checkpoints/b", body=OTHER, bytes=None, sha256=None),
        )

    def test_one_member_by_ranges(self, store_of, server, body):
        a, b = self.rows(server.add("x/c.zip", body))
        store = store_of(a, b)
        assert store.ensure(a).path.read_bytes() == BODY
        assert store.status(b) is State.MISSING
        assert store.ensure(b).sha256 == sha(OTHER)
        assert all(asked for _, asked in server.log)

    def test_the_whole_zip_once_for_all_its_rows_without_ranges(self, store_of, server, body):
        a, b = self.rows(server.add("x/c.zip", body, ranges=False))
        store = store_of(a, b)
        assert store.ensure(a).path.read_bytes() == BODY
        assert store.ensure(b).path.read_bytes() == OTHER
        assert [asked for _, asked in server.log if asked is None] == [None]
        assert not store.path_of(a).with_name("c.zip").exists()

    def test_a_wrong_member_is_refused_and_the_others_are_not(self, store_of, server, body):
        a, _ = self.rows(server.add("x/c.zip", body, ranges=False))
        wrong = row("w", archive=a.archive, member="checkpoints/b")
        store = store_of(a, wrong)
        with pytest.raises(RestoreError, match=sha(OTHER)):
            store.ensure(wrong)
        assert store.ensure(a).sha256 == sha(BODY)
        assert not store.path_of(wrong).exists()

    def test_a_mirror_of_the_member(self, store_of, server):
        url = server.add("a", BODY)
        checkpoint = row("a", url, archive=server.url("absent.zip"), member="checkpoints/a")
        assert store_of(checkpoint).ensure(checkpoint).sha256 == sha(BODY)


class TestOfficialFile:
    @pytest.fixture
    def store(self, shared, tmp_path) -> WeightStore:
        store = WeightStore(Catalog.load(), tmp_path, offline=True)
        path = store.path_of(store.catalog.find("upscale", "animevideov3"))
        path.parent.mkdir(parents=True)
        shutil.copyfile(shared / "weights" / path.name, path)
        return store

    @pytest.mark.shared
    def test_verifies_through_the_shipped_manifest(self, store):
        resolved = store.resolve("upscale", "animevideov3", Policy.OFFICIAL)
        assert (
            resolved.net.sha256
            == "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d"
        )

    @pytest.mark.shared
    def test_one_flipped_byte_is_refused_by_name(self, store):
        row_ = store.catalog.find("upscale", "animevideov3")
        flip_a_byte(store.path_of(row_))
        with pytest.raises(
            RestoreError, match=r"realesr-animevideov3\.pth.*b8a8376811077954"
        ) as refused:
            store.resolve("upscale", "animevideov3", Policy.AUTO)
        assert refused.value.code is Code.WEIGHTS_CORRUPT
