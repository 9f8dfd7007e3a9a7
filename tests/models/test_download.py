"""Tests of downloads from a local server: resumed, limited and checked."""

import dataclasses
import errno
import io
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from downloadfixtures import BODY, set_free_bytes
from fileserver import FileServer, closed_port_url, sha256_of

from restore.errors import Code, RestoreError
from restore.models import download
from restore.models.download import MAX_STALLED_ATTEMPTS, Downloader
from restore.models.host_status import HostStatus
from restore.models.partial_download import DownloadTarget, UnusableSourceError
from restore.models.patience import PATIENT

OTHER = random.Random(8).randbytes(50_000)


def part_of(target: DownloadTarget) -> Path:
    return target.path.with_name("net.pth.part")


class KilledError(Exception):
    """The process was killed."""


def leave_part(target: DownloadTarget, url: str, server: FileServer, size: int = 20_000) -> None:
    """Leave the partial file of a process that was killed after it received `size` bytes."""

    def kill(_: float) -> None:
        raise KilledError

    server.replies["/" + url.rpartition("/")[2]].cuts = [size]
    with pytest.raises(KilledError):
        Downloader(pause=kill).fetch(target, url)
    assert part_of(target).stat().st_size == size
    server.log.clear()


class TestWholeFile:
    def test_file_is_complete_progress_is_reported_and_nothing_else_is_left(
        self, server: FileServer, target: DownloadTarget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(download, "CHUNK_BYTES", 1000)
        events: list[tuple[str, int, int]] = []
        downloaded = Downloader(lambda *event: events.append(event)).fetch(
            target, server.add("net", BODY)
        )
        assert target.path.read_bytes() == BODY
        assert (downloaded.sha256, downloaded.bytes) == (sha256_of(BODY), len(BODY))
        assert events == [("net.pth", done, len(BODY)) for done in range(1000, len(BODY) + 1, 1000)]
        assert [path.name for path in target.path.parent.iterdir()] == ["net.pth"]
        assert server.encodings == {"identity"}

    def test_checksum_and_size_may_be_unknown(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        downloaded = downloader.fetch(
            DownloadTarget(target.path), server.add("net", BODY, length=False)
        )
        assert downloaded.sha256 == sha256_of(BODY)

    def test_binary_file_that_begins_like_a_web_page_is_accepted(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        body = b"<\x02\0\0\0\0\0\0{}" + BODY  # a safetensors file begins with its header's length
        assert downloader.fetch(DownloadTarget(target.path), server.add("net", body)).bytes == len(
            body
        )


class TestRejections:
    @pytest.mark.parametrize(
        ("body", "how", "reason"),
        [
            (BODY, {"kind": "text/html; charset=utf-8"}, "page"),
            (b"\n<!doctype html><p>quota exceeded", {}, "page|bytes"),
            (OTHER, {}, sha256_of(OTHER)),
            (BODY[:-1], {}, "has 49999 bytes, expected 50000"),
            (BODY + b"1", {"length": False}, "more than"),
            (BODY, {"statuses": [404]}, "HTTP 404"),
            (BODY, {"statuses": [403]}, "HTTP 403"),
        ],
    )
    def test_wrong_response_is_rejected_at_once_and_leaves_nothing(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        pauses: list[float],
        body: bytes,
        how: dict[str, Any],
        reason: str,
    ) -> None:
        with pytest.raises(UnusableSourceError, match=reason):
            downloader.fetch(target, server.add("net", body, **how))
        assert not target.path.exists()
        assert pauses == []

    @pytest.mark.parametrize(
        ("body", "reason"), [(b" \n<html>quota exceeded", "page"), (b"", "empty")]
    )
    def test_web_page_and_empty_file_are_rejected_without_known_size_and_checksum(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        body: bytes,
        reason: str,
    ) -> None:
        with pytest.raises(UnusableSourceError, match=reason):
            downloader.fetch(DownloadTarget(target.path), server.add("net", body))
        assert not target.path.exists()

    def test_wrong_content_leaves_no_partial_file(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        with pytest.raises(UnusableSourceError):
            downloader.fetch(target, server.add("net", OTHER))
        assert list(target.path.parent.iterdir()) == []

    def test_unreachable_host_is_not_tried_again(
        self,
        target: DownloadTarget,
        downloader: Downloader,
        pauses: list[float],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        url = closed_port_url("net")
        with pytest.raises(UnusableSourceError, match="refused"):
            downloader.fetch(target, url)
        monkeypatch.setattr(
            requests.Session, "get", lambda *_, **__: pytest.fail("the host was tried again")
        )
        with pytest.raises(UnusableSourceError, match="refused"):
            downloader.fetch(target, url + "-other")
        assert pauses == []

    def test_server_without_tls_is_told_without_names_of_classes(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        url = server.add("net", BODY).replace("http://", "https://")
        with pytest.raises(UnusableSourceError, match="SSL") as caught:
            downloader.fetch(target, url)
        assert "Pool" not in str(caught.value)
        assert "Error(" not in str(caught.value)

    def test_timeout_is_an_interruption(
        self, server: FileServer, target: DownloadTarget, pauses: list[float]
    ) -> None:
        patience = dataclasses.replace(PATIENT, read_timeout_s=0.05)
        stall = threading.Event()
        url = server.add("net", BODY, stall=stall)
        with pytest.raises(UnusableSourceError, match="gave up"):
            Downloader(pause=pauses.append, hosts=HostStatus(patience)).fetch(target, url)
        stall.set()
        assert len(server.log) == PATIENT.attempts


class TestInterruptions:
    def test_interrupted_transfer_is_resumed(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        pauses: list[float],
    ) -> None:
        url = server.add("net", BODY, cuts=[20_500, 10_000])
        downloader.fetch(target, url)
        assert target.path.read_bytes() == BODY
        assert [range_header for _, range_header in server.log] == [
            None,
            "bytes=20000-",
            "bytes=30000-",
        ]
        assert len(pauses) == 2

    def test_interruptions_are_unlimited_while_something_is_received(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        url = server.add("net", BODY, cuts=[3000] * (3 * MAX_STALLED_ATTEMPTS))
        assert downloader.fetch(target, url).bytes == len(BODY)

    def test_stalled_transfer_is_given_up_after_increasing_pauses(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        pauses: list[float],
    ) -> None:
        url = server.add("net", BODY, cuts=[0] * 50)
        with pytest.raises(UnusableSourceError, match="gave up"):
            downloader.fetch(target, url)
        assert len(server.log) == MAX_STALLED_ATTEMPTS
        assert pauses == sorted(set(pauses))
        assert len(pauses) == MAX_STALLED_ATTEMPTS - 1

    def test_busy_server_is_tried_again(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        assert downloader.fetch(target, server.add("net", BODY, statuses=[503, 429])).bytes == len(
            BODY
        )

    def test_another_process_resumes_the_partial_file(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        url = server.add("net", BODY)
        leave_part(target, url, server)
        downloader.fetch(target, url)
        assert server.log == [("/net", "bytes=20000-")]
        assert target.path.read_bytes() == BODY

    def test_mirror_resumes_the_partial_file_if_the_checksum_is_known(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        leave_part(target, server.add("net", BODY), server)
        downloader.fetch(target, server.add("mirror", BODY, etag='"two"'))
        assert server.log == [("/mirror", "bytes=20000-")]
        assert server.statuses[-1] == 206

    def test_mirror_starts_over_without_known_checksum(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        unverifiable = DownloadTarget(target.path)
        leave_part(unverifiable, server.add("net", OTHER), server)
        assert downloader.fetch(unverifiable, server.add("mirror", BODY)).sha256 == sha256_of(BODY)
        assert server.log == [("/mirror", None)]

    def test_transfer_starts_over_without_checksum_and_validator(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        unverifiable = DownloadTarget(target.path)
        url = server.add("net", OTHER, etag=None)
        leave_part(unverifiable, url, server)
        server.add("net", BODY, etag=None)
        assert downloader.fetch(unverifiable, url).sha256 == sha256_of(BODY)

    def test_transfer_starts_over_if_the_validator_changed(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        unverifiable = DownloadTarget(target.path)
        url = server.add("net", OTHER)
        leave_part(unverifiable, url, server)
        server.add("net", BODY, etag='"two"')
        assert downloader.fetch(unverifiable, url).sha256 == sha256_of(BODY)
        assert server.log == [("/net", "bytes=20000-")]

    def test_transfer_starts_over_if_only_the_size_changed(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        unverifiable = DownloadTarget(target.path)
        url = server.add("net", OTHER)
        leave_part(unverifiable, url, server)
        server.add("net", BODY + b"12")
        assert downloader.fetch(unverifiable, url).sha256 == sha256_of(BODY + b"12")

    def test_truncated_response_without_length_is_resumed_if_the_size_is_known(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        downloader.fetch(target, server.add("net", BODY, length=False, cuts=[20_000]))
        assert [range_header for _, range_header in server.log] == [None, "bytes=20000-"]

    def test_range_from_another_offset_is_rejected(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        url = server.add("net", BODY, off_by=1)
        leave_part(target, url, server)
        with pytest.raises(
            UnusableSourceError, match="bytes from 20001, requested were bytes from 20000"
        ):
            downloader.fetch(target, url)

    def test_transfer_starts_over_if_the_size_differs_from_the_partial_file(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        unsized = DownloadTarget(target.path, sha256=sha256_of(BODY))
        leave_part(unsized, server.add("net", OTHER + b"12", etag=None), server)
        assert downloader.fetch(unsized, server.add("net", BODY, etag=None)).sha256 == sha256_of(
            BODY
        )
        assert [range_header for _, range_header in server.log] == ["bytes=20000-", None]

    def test_partial_file_of_another_file_is_detected_by_the_checksum(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        leave_part(target, server.add("net", OTHER), server)
        downloader.fetch(target, server.add("mirror", BODY))
        assert target.path.read_bytes() == BODY
        assert [range_header for _, range_header in server.log] == ["bytes=20000-", None]

    def test_server_without_ranges_starts_over(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        downloader.fetch(target, server.add("net", BODY, ranges=False, cuts=[20_000]))
        assert target.path.read_bytes() == BODY

    def test_complete_partial_file_needs_no_request(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        part_of(target).write_bytes(BODY)
        downloader.fetch(target, server.add("net", BODY))
        assert target.path.read_bytes() == BODY
        assert server.log == []

    @pytest.mark.parametrize(("kept", "requests_made"), [(BODY, 1), (BODY + b"1", 2)])
    def test_range_past_the_end(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        kept: bytes,
        requests_made: int,
    ) -> None:
        unsized = DownloadTarget(target.path, sha256=sha256_of(BODY))
        part_of(target).write_bytes(kept)
        downloader.fetch(unsized, server.add("net", BODY))
        assert target.path.read_bytes() == BODY
        assert len(server.log) == requests_made

    def test_partial_file_that_is_too_long_is_deleted(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        part_of(target).write_bytes(BODY + b"1")
        downloader.fetch(target, server.add("net", BODY))
        assert server.log == [("/net", None)]


class TestSpace:
    def test_download_that_does_not_fit_is_refused_before_it_starts(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        set_free_bytes(monkeypatch, len(BODY) - 1)
        with pytest.raises(RestoreError, match=r"net\.pth") as caught:
            downloader.fetch(target, server.add("net", BODY))
        assert caught.value.code is Code.WEIGHTS_NO_SPACE
        assert not part_of(target).exists()

    def test_only_the_rest_must_fit(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        url = server.add("net", BODY)
        leave_part(target, url, server)
        set_free_bytes(monkeypatch, len(BODY) - 20_000)
        assert downloader.fetch(target, url).bytes == len(BODY)

    def test_partial_file_is_kept_when_the_disk_is_full(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        url = server.add("net", BODY)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "open", _open_with_limit(Path.open, 20_000))
            with pytest.raises(RestoreError, match="full") as caught:
                downloader.fetch(target, url)
        assert caught.value.code is Code.WEIGHTS_NO_SPACE
        downloader.fetch(target, url)
        assert [range_header for _, range_header in server.log] == [None, "bytes=20000-"]
        assert target.path.read_bytes() == BODY


def _open_with_limit(original: Callable[..., Any], limit_bytes: int) -> Callable[..., Any]:
    """A Path.open whose files in append mode accept `limit_bytes` bytes."""

    class Full(io.FileIO):
        def write(self, chunk: Any) -> int:
            if self.tell() + len(chunk) > limit_bytes:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(chunk)

    def open_(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return Full(self, "a") if mode == "ab" else original(self, mode, *args, **kwargs)

    return open_
