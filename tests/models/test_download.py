"""Downloads against a real server: what is whole arrives, what is broken is gone on with, what is wrong is refused."""

import errno
import io
import random
import shutil
import threading
import zipfile
from pathlib import Path

import pytest
import requests
from fileserver import FileServer, closed_port_url, sha

from restore.errors import Code, RestoreError
from restore.models import download
from restore.models import partial_download as partial
from restore.models.download import MAX_STALLED, Downloader, NoRangesError
from restore.models.partial_download import UnusableSourceError, Wanted

BODY = random.Random(7).randbytes(50_000)
OTHER = random.Random(8).randbytes(50_000)


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def downloader(pauses, monkeypatch) -> Downloader:
    monkeypatch.setattr(download, "CHUNK_BYTES", 1000)
    return Downloader(pause=pauses.append)


@pytest.fixture
def wanted(tmp_path) -> Wanted:
    return Wanted(tmp_path / "net.pth", len(BODY), sha(BODY))


def part_of(wanted: Wanted) -> Path:
    return wanted.target.with_name("net.pth.part")


class KilledError(Exception):
    """The process is gone."""


def leave_part(wanted: Wanted, url: str, server: FileServer, size: int = 20_000) -> None:
    """Leaves what a process leaves that is killed when its transfer from `url` has been cut after `size` bytes."""

    def killed(_: float) -> None:
        raise KilledError

    server.replies["/" + url.rpartition("/")[2]].cuts = [size]
    with pytest.raises(KilledError):
        Downloader(pause=killed).fetch(wanted, url)
    assert part_of(wanted).stat().st_size == size
    server.log.clear()


class TestWholeFile:
    def test_arrives_whole_reported_and_without_leftovers(self, server, wanted, monkeypatch):
        monkeypatch.setattr(download, "CHUNK_BYTES", 1000)
        heard = []
        received = Downloader(lambda *event: heard.append(event)).fetch(
            wanted, server.add("net", BODY)
        )
        assert wanted.target.read_bytes() == BODY
        assert (received.sha256, received.bytes) == (sha(BODY), len(BODY))
        assert heard == [("net.pth", done, len(BODY)) for done in range(1000, len(BODY) + 1, 1000)]
        assert [path.name for path in wanted.target.parent.iterdir()] == ["net.pth"]
        assert server.encodings == {"identity"}

    def test_sum_and_size_may_be_unknown(self, server, wanted, downloader):
        received = downloader.fetch(Wanted(wanted.target), server.add("net", BODY, length=False))
        assert received.sha256 == sha(BODY)

    def test_a_file_that_begins_like_a_page_but_is_binary(self, server, wanted, downloader):
        body = b"<\x02\0\0\0\0\0\0{}" + BODY  # the length that a safetensors file begins with
        assert downloader.fetch(Wanted(wanted.target), server.add("net", body)).bytes == len(body)


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "how", "reason"),
        [
            (BODY, {"kind": "text/html; charset=utf-8"}, "page"),
            (b"\n<!doctype html><p>quota exceeded", {}, "page|bytes"),
            (OTHER, {}, sha(OTHER)),
            (BODY[:-1], {}, "has 49999 bytes, 50000 expected"),
            (BODY + b"1", {"length": False}, "more than"),
            (BODY, {"statuses": [404]}, "HTTP 404"),
            (BODY, {"statuses": [403]}, "HTTP 403"),
        ],
    )
    def test_at_once_and_nothing_is_left(
        self, server, wanted, downloader, pauses, body, how, reason
    ):
        with pytest.raises(UnusableSourceError, match=reason):
            downloader.fetch(wanted, server.add("net", body, **how))
        assert not wanted.target.exists()
        assert pauses == []

    @pytest.mark.parametrize(
        ("body", "reason"), [(b" \n<html>quota exceeded", "page"), (b"", "empty")]
    )
    def test_page_or_nothing_where_nothing_is_known_of_the_file(
        self, server, wanted, downloader, body, reason
    ):
        with pytest.raises(UnusableSourceError, match=reason):
            downloader.fetch(Wanted(wanted.target), server.add("net", body))
        assert not wanted.target.exists()

    def test_wrong_bytes_are_not_kept_as_a_part(self, server, wanted, downloader):
        with pytest.raises(UnusableSourceError):
            downloader.fetch(wanted, server.add("net", OTHER))
        assert list(wanted.target.parent.iterdir()) == []

    def test_nobody_listens_and_the_host_is_not_asked_again(
        self, wanted, downloader, pauses, monkeypatch
    ):
        url = closed_port_url("net")
        with pytest.raises(UnusableSourceError, match="refused"):
            downloader.fetch(wanted, url)
        monkeypatch.setattr(requests.Session, "get", lambda *_, **__: pytest.fail("asked again"))
        with pytest.raises(UnusableSourceError, match="refused"):
            downloader.fetch(wanted, url + "-other")
        assert pauses == []

    def test_silence_is_an_interruption(self, server, wanted, downloader, pauses, monkeypatch):
        monkeypatch.setattr(download, "READ_TIMEOUT_S", 0.05)
        stall = threading.Event()
        url = server.add("net", BODY, stall=stall)
        with pytest.raises(UnusableSourceError, match="gave up"):
            downloader.fetch(wanted, url)
        stall.set()
        assert len(server.log) == MAX_STALLED


class TestInterruptions:
    def test_goes_on_in_place_where_it_was_cut(self, server, wanted, downloader, pauses):
        url = server.add("net", BODY, cuts=[20_500, 10_000])
        downloader.fetch(wanted, url)
        assert wanted.target.read_bytes() == BODY
        assert [asked for _, asked in server.log] == [None, "bytes=20000-", "bytes=30000-"]
        assert len(pauses) == 2

    def test_more_cuts_than_the_limit_as_long_as_it_gets_on(self, server, wanted, downloader):
        url = server.add("net", BODY, cuts=[3000] * (3 * MAX_STALLED))
        assert downloader.fetch(wanted, url).bytes == len(BODY)

    def test_gives_up_when_nothing_comes_and_waits_longer_each_time(
        self, server, wanted, downloader, pauses
    ):
        url = server.add("net", BODY, cuts=[0] * 50)
        with pytest.raises(UnusableSourceError, match="gave up"):
            downloader.fetch(wanted, url)
        assert len(server.log) == MAX_STALLED
        assert pauses == sorted(set(pauses))
        assert len(pauses) == MAX_STALLED - 1

    def test_a_busy_server_is_asked_again(self, server, wanted, downloader):
        assert downloader.fetch(wanted, server.add("net", BODY, statuses=[503, 429])).bytes == len(
            BODY
        )

    def test_another_process_goes_on_with_the_part(self, server, wanted, downloader):
        url = server.add("net", BODY)
        leave_part(wanted, url, server)
        downloader.fetch(wanted, url)
        assert server.log == [("/net", "bytes=20000-")]
        assert wanted.target.read_bytes() == BODY

    def test_a_mirror_goes_on_with_the_part_when_the_sum_is_known(self, server, wanted, downloader):
        leave_part(wanted, server.add("net", BODY), server)
        downloader.fetch(wanted, server.add("mirror", BODY, etag='"two"'))
        assert server.log == [("/mirror", "bytes=20000-")]
        assert server.statuses[-1] == 206

    def test_without_a_sum_a_mirror_starts_anew(self, server, wanted, downloader):
        unproven = Wanted(wanted.target)
        leave_part(unproven, server.add("net", OTHER), server)
        assert downloader.fetch(unproven, server.add("mirror", BODY)).sha256 == sha(BODY)
        assert server.log == [("/mirror", None)]

    def test_without_sum_and_validator_the_same_address_starts_anew(
        self, server, wanted, downloader
    ):
        unproven = Wanted(wanted.target)
        url = server.add("net", OTHER, etag=None)
        leave_part(unproven, url, server)
        server.add("net", BODY, etag=None)
        assert downloader.fetch(unproven, url).sha256 == sha(BODY)

    def test_a_changed_file_starts_anew(self, server, wanted, downloader):
        unproven = Wanted(wanted.target)
        url = server.add("net", OTHER)
        leave_part(unproven, url, server)
        server.add("net", BODY, etag='"two"')
        assert downloader.fetch(unproven, url).sha256 == sha(BODY)
        assert server.log == [("/net", "bytes=20000-")]

    def test_a_changed_length_starts_anew_though_the_validator_is_the_same(
        self, server, wanted, downloader
    ):
        unproven = Wanted(wanted.target)
        url = server.add("net", OTHER)
        leave_part(unproven, url, server)
        server.add("net", BODY + b"12")
        assert downloader.fetch(unproven, url).sha256 == sha(BODY + b"12")

    def test_a_cut_that_looks_like_the_end_is_found_out_by_the_size(
        self, server, wanted, downloader
    ):
        downloader.fetch(wanted, server.add("net", BODY, length=False, cuts=[20_000]))
        assert [asked for _, asked in server.log] == [None, "bytes=20000-"]

    def test_a_range_from_elsewhere_is_refused(self, server, wanted, downloader):
        url = server.add("net", BODY, off_by=1)
        leave_part(wanted, url, server)
        with pytest.raises(UnusableSourceError, match="bytes from 20001 where 20000"):
            downloader.fetch(wanted, url)

    def test_a_file_of_another_length_starts_anew(self, server, wanted, downloader):
        unsized = Wanted(wanted.target, sha256=sha(BODY))
        leave_part(unsized, server.add("net", OTHER + b"12", etag=None), server)
        assert downloader.fetch(unsized, server.add("net", BODY, etag=None)).sha256 == sha(BODY)
        assert [asked for _, asked in server.log] == ["bytes=20000-", None]

    def test_a_part_of_another_file_is_found_out_by_the_sum(self, server, wanted, downloader):
        leave_part(wanted, server.add("net", OTHER), server)
        downloader.fetch(wanted, server.add("mirror", BODY))
        assert wanted.target.read_bytes() == BODY
        assert [asked for _, asked in server.log] == ["bytes=20000-", None]

    def test_a_server_without_ranges_starts_anew(self, server, wanted, downloader):
        downloader.fetch(wanted, server.add("net", BODY, ranges=False, cuts=[20_000]))
        assert wanted.target.read_bytes() == BODY

    def test_a_complete_part_of_known_size_needs_no_request(self, server, wanted, downloader):
        part_of(wanted).write_bytes(BODY)
        downloader.fetch(wanted, server.add("net", BODY))
        assert wanted.target.read_bytes() == BODY
        assert server.log == []

    @pytest.mark.parametrize(("kept", "requests_made"), [(BODY, 1), (BODY + b"1", 2)])
    def test_a_range_behind_the_end(self, server, wanted, downloader, kept, requests_made):
        unsized = Wanted(wanted.target, sha256=sha(BODY))
        part_of(wanted).write_bytes(kept)
        downloader.fetch(unsized, server.add("net", BODY))
        assert wanted.target.read_bytes() == BODY
        assert len(server.log) == requests_made

    def test_a_part_that_is_too_long_is_thrown_away(self, server, wanted, downloader):
        part_of(wanted).write_bytes(BODY + b"1")
        downloader.fetch(wanted, server.add("net", BODY))
        assert server.log == [("/net", None)]


class TestSpace:
    def test_refused_before_the_first_byte(self, server, wanted, downloader, monkeypatch):
        usage = shutil.disk_usage("/")
        monkeypatch.setattr(
            partial.shutil, "disk_usage", lambda _: usage._replace(free=len(BODY) - 1)
        )
        with pytest.raises(RestoreError, match=r"net\.pth") as refused:
            downloader.fetch(wanted, server.add("net", BODY))
        assert refused.value.code is Code.WEIGHTS_NO_SPACE
        assert not part_of(wanted).exists()

    def test_only_the_rest_has_to_fit(self, server, wanted, downloader, monkeypatch):
        url = server.add("net", BODY)
        leave_part(wanted, url, server)
        usage = shutil.disk_usage("/")
        monkeypatch.setattr(
            partial.shutil, "disk_usage", lambda _: usage._replace(free=len(BODY) - 20_000)
        )
        assert downloader.fetch(wanted, url).bytes == len(BODY)

    def test_a_disk_that_fills_up_keeps_the_part(self, server, wanted, downloader, monkeypatch):
        url = server.add("net", BODY)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", _filling_up(Path.open, 20_000))
            with pytest.raises(RestoreError, match="full") as refused:
                downloader.fetch(wanted, url)
        assert refused.value.code is Code.WEIGHTS_NO_SPACE
        downloader.fetch(wanted, url)
        assert [asked for _, asked in server.log] == [None, "bytes=20000-"]
        assert wanted.target.read_bytes() == BODY


def _filling_up(original, limit: int):
    """Path.open whose files in append mode take `limit` bytes."""

    class Full(io.FileIO):
        def write(self, chunk) -> int:
            if self.tell() + len(chunk) > limit:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(chunk)

    def open_(self, mode="r", *args, **kwargs):
        return Full(self, "a") if mode == "ab" else original(self, mode, *args, **kwargs)

    return open_


def zipped(compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip whose member `checkpoints/net` is a small share of it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("checkpoints/optimizer", random.Random(9).randbytes(400_000))
        archive.writestr("checkpoints/net", BODY)
        archive.writestr("checkpoints/optimizer2", random.Random(10).randbytes(400_000))
    return buffer.getvalue()


class TestMembers:
    @pytest.fixture(autouse=True)
    def small_ranges(self, monkeypatch):
        monkeypatch.setattr(download, "RANGE_BYTES", 16_384)

    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    def test_only_the_member_is_read(self, server, wanted, downloader, compression):
        received = downloader.fetch_member(
            wanted, server.add("a.zip", zipped(compression)), "checkpoints/net"
        )
        assert received.sha256 == sha(BODY)
        assert wanted.target.read_bytes() == BODY
        assert _asked_bytes(server) < 3 * len(BODY)
        assert [path.name for path in wanted.target.parent.iterdir()] == ["net.pth"]

    def test_a_cut_range_is_asked_for_again(self, server, wanted, downloader, pauses):
        url = server.add("a.zip", zipped(), cuts=[0, 1, 5])
        assert downloader.fetch_member(wanted, url, "checkpoints/net").sha256 == sha(BODY)
        asked = [asked for _, asked in server.log]
        assert (asked[0], asked[2]) == (asked[1], asked[3])
        assert len(pauses) == 2

    def test_a_server_without_ranges_says_so(self, server, wanted, downloader):
        with pytest.raises(NoRangesError):
            downloader.fetch_member(
                wanted, server.add("a.zip", zipped(), ranges=False), "checkpoints/net"
            )

    @pytest.mark.parametrize(
        ("body", "how", "member", "reason"),
        [
            (zipped(), {}, "checkpoints/nothing", "no member checkpoints/nothing"),
            (BODY, {}, "checkpoints/net", "damaged"),
            (zipped(), {"kind": "text/html"}, "checkpoints/net", "page"),
            (zipped(), {"ranges": False, "kind": "text/html"}, "checkpoints/net", "page"),
            (zipped(), {}, "checkpoints/optimizer", sha(BODY)),
            (zipped(), {"off_by": 1}, "checkpoints/net", "fit together"),
            (zipped(), {"at_most": 10}, "checkpoints/net", "gave up"),
        ],
    )
    def test_refusals_leave_nothing(self, server, wanted, downloader, body, how, member, reason):
        unsized = Wanted(wanted.target, sha256=wanted.sha256)
        with pytest.raises(UnusableSourceError, match=reason):
            downloader.fetch_member(unsized, server.add("a.zip", body, **how), member)
        assert list(wanted.target.parent.iterdir()) == []

    def test_a_flipped_byte_in_the_zip_is_found_without_any_sum(self, server, wanted, downloader):
        body = bytearray(zipped(zipfile.ZIP_STORED))
        body[body.index(BODY[:100]) + 50] ^= 1
        with pytest.raises(UnusableSourceError, match="damaged"):
            downloader.fetch_member(
                Wanted(wanted.target), server.add("a.zip", bytes(body)), "checkpoints/net"
            )
        assert not wanted.target.exists()

    def test_a_member_of_another_size_is_refused_without_a_sum(self, server, wanted, downloader):
        with pytest.raises(UnusableSourceError, match="sent 400000 bytes, 50000 expected"):
            downloader.fetch_member(
                Wanted(wanted.target, len(BODY)),
                server.add("a.zip", zipped()),
                "checkpoints/optimizer",
            )
        assert not wanted.target.exists()

    def test_a_member_that_does_not_fit_is_refused(self, server, wanted, downloader, monkeypatch):
        usage = shutil.disk_usage("/")
        monkeypatch.setattr(
            partial.shutil, "disk_usage", lambda _: usage._replace(free=len(BODY) - 1)
        )
        with pytest.raises(RestoreError) as refused:
            downloader.fetch_member(wanted, server.add("a.zip", zipped()), "checkpoints/net")
        assert refused.value.code is Code.WEIGHTS_NO_SPACE


def _asked_bytes(server: FileServer) -> int:
    spans = [asked.removeprefix("bytes=").split("-") for _, asked in server.log]
    return sum(int(last) - int(first) + 1 for first, last in spans)
