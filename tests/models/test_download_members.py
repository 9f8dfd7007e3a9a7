"""Tests of downloads of single files of remote zip archives."""

import io
import random
import zipfile
from typing import Any

import pytest
from downloadfixtures import BODY, set_free_bytes
from fileserver import FileServer, sha256_of

from restore.errors import Code, RestoreError
from restore.models import download
from restore.models.download import Downloader, NoRangesError
from restore.models.partial_download import DownloadTarget, UnusableSourceError


def new_zip(compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip in which the member `checkpoints/net` is a small part."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("checkpoints/optimizer", random.Random(9).randbytes(400_000))
        archive.writestr("checkpoints/net", BODY)
        archive.writestr("checkpoints/optimizer2", random.Random(10).randbytes(400_000))
    return buffer.getvalue()


class TestMembers:
    @pytest.fixture(autouse=True)
    def small_ranges(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(download, "RANGE_BYTES", 16_384)

    @pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    def test_only_the_member_is_downloaded(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader, compression: int
    ) -> None:
        downloaded = downloader.fetch_member(
            target, server.add("a.zip", new_zip(compression)), "checkpoints/net"
        )
        assert downloaded.sha256 == sha256_of(BODY)
        assert target.path.read_bytes() == BODY
        assert _requested_bytes(server) < 3 * len(BODY)
        assert [path.name for path in target.path.parent.iterdir()] == ["net.pth"]

    def test_interrupted_range_is_requested_again(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        pauses: list[float],
    ) -> None:
        url = server.add("a.zip", new_zip(), cuts=[0, 1, 5])
        assert downloader.fetch_member(target, url, "checkpoints/net").sha256 == sha256_of(BODY)
        ranges = [range_header for _, range_header in server.log]
        assert (ranges[0], ranges[2]) == (ranges[1], ranges[3])
        assert len(pauses) == 2

    def test_server_without_ranges_raises(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        with pytest.raises(NoRangesError):
            downloader.fetch_member(
                target, server.add("a.zip", new_zip(), ranges=False), "checkpoints/net"
            )

    @pytest.mark.parametrize(
        ("body", "how", "member", "reason"),
        [
            (new_zip(), {}, "checkpoints/nothing", "no member checkpoints/nothing"),
            (BODY, {}, "checkpoints/net", "damaged"),
            (new_zip(), {"kind": "text/html"}, "checkpoints/net", "page"),
            (new_zip(), {"ranges": False, "kind": "text/html"}, "checkpoints/net", "page"),
            (new_zip(), {}, "checkpoints/optimizer", sha256_of(BODY)),
            (new_zip(), {"off_by": 1}, "checkpoints/net", "another range of the zip"),
            (new_zip(), {"at_most": 10}, "checkpoints/net", "gave up"),
        ],
    )
    def test_rejected_member_leaves_nothing(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        body: bytes,
        how: dict[str, Any],
        member: str,
        reason: str,
    ) -> None:
        unsized = DownloadTarget(target.path, sha256=target.sha256)
        with pytest.raises(UnusableSourceError, match=reason):
            downloader.fetch_member(unsized, server.add("a.zip", body, **how), member)
        assert list(target.path.parent.iterdir()) == []

    def test_flipped_byte_in_the_zip_is_detected_without_checksum(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        body = bytearray(new_zip(zipfile.ZIP_STORED))
        body[body.index(BODY[:100]) + 50] ^= 1
        with pytest.raises(UnusableSourceError, match="damaged"):
            downloader.fetch_member(
                DownloadTarget(target.path), server.add("a.zip", bytes(body)), "checkpoints/net"
            )
        assert not target.path.exists()

    def test_member_of_another_size_is_rejected_without_checksum(
        self, server: FileServer, target: DownloadTarget, downloader: Downloader
    ) -> None:
        with pytest.raises(UnusableSourceError, match="sent 400000 bytes, expected 50000"):
            downloader.fetch_member(
                DownloadTarget(target.path, len(BODY)),
                server.add("a.zip", new_zip()),
                "checkpoints/optimizer",
            )
        assert not target.path.exists()

    def test_member_that_does_not_fit_on_the_disk_is_refused(
        self,
        server: FileServer,
        target: DownloadTarget,
        downloader: Downloader,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        set_free_bytes(monkeypatch, len(BODY) - 1)
        with pytest.raises(RestoreError) as caught:
            downloader.fetch_member(target, server.add("a.zip", new_zip()), "checkpoints/net")
        assert caught.value.code is Code.WEIGHTS_NO_SPACE


def _requested_bytes(server: FileServer) -> int:
    ranges = [range_header or "" for _, range_header in server.log]
    spans = [range_header.removeprefix("bytes=").split("-") for range_header in ranges]
    return sum(int(last) - int(first) + 1 for first, last in spans)
