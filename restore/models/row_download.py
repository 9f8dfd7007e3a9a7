"""Downloads the file of a manifest row, from its archive or its mirrors in turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from restore.errors import Code, RestoreError
from restore.models.catalog import Catalog, Checkpoint
from restore.models.download import Downloader, NoRangesError
from restore.models.host_status import UnreachableHostError
from restore.models.partial_download import DownloadedFile, DownloadTarget, UnusableSourceError
from restore.models.verified_file import ChecksumRecord

log = logging.getLogger(__name__)


class RowDownloader:
    """Downloads the files of a catalog.

    Args:
        catalog: the manifest rows.
        path_of: returns where the file of a row is stored.
        downloader: downloads one address.
    """

    def __init__(
        self, catalog: Catalog, path_of: Callable[[Checkpoint], Path], downloader: Downloader
    ) -> None:
        self._catalog = catalog
        self._path_of = path_of
        self._downloader = downloader

    @property
    def connection_failure(self) -> str | None:
        """Why no file can be downloaded, if every host that was tried failed."""
        return self._downloader.hosts.first_failure

    def download(self, row: Checkpoint) -> None:
        """Download the file of a row, from its archive or its URLs, and record its checksum.

        Raises:
            RestoreError: WEIGHTS_UNREACHABLE with the reason for each address;
                WEIGHTS_NO_SPACE.
        """
        reasons = []
        for url, attempt in self._sources(row):
            try:
                self._record(row, attempt())
            except UnreachableHostError as error:
                reasons.append(str(error))
            except UnusableSourceError as error:
                parts = urlsplit(url)
                reasons.append(f"{parts.netloc}{parts.path}: {error}")
                log.warning("%s: %s", row.file, reasons[-1])
            else:
                return
        reasons = list(dict.fromkeys(reasons))
        reason = f"'{row.file}' could not be downloaded: {'; '.join(reasons)}"
        from_index = (
            f", or `restore weights fetch {row.task} --from index`" if row.index_copy else ""
        )
        remedy = (
            f"Check the network connection and run `restore weights fetch {row.task}`{from_index}, "
            f"or put the file at {self._path_of(row)}."
        )
        raise RestoreError(Code.WEIGHTS_UNREACHABLE, reason, remedy)

    def _sources(self, row: Checkpoint) -> Iterator[tuple[str, Callable[[], DownloadedFile]]]:
        """Yield each address, and what downloads the row's file from it."""
        target = self._target(row)
        if row.archive is not None:
            yield row.archive, partial(self._fetch_from_archive, row, target)
        for url in row.urls:
            yield url, partial(self._downloader.fetch, target, url)

    def _target(self, row: Checkpoint) -> DownloadTarget:
        path = self._path_of(row)
        record = ChecksumRecord.read(path)
        return DownloadTarget(path, row.bytes, row.sha256 or (record.sha256 if record else None))

    def _fetch_from_archive(self, row: Checkpoint, target: DownloadTarget) -> DownloadedFile:
        """Download one member of a zip; without range support, the whole zip for all its rows."""
        archive, member = str(row.archive), str(row.member)
        try:
            return self._downloader.fetch_member(target, archive, member)
        except NoRangesError:
            zip_path = target.path.with_name(last_part(archive))
        if not zip_path.exists():
            self._downloader.fetch(DownloadTarget(zip_path), archive)
        try:
            with zip_path.open("rb") as zip_file:
                downloaded = self._downloader.extract(target, zip_file, member)
                self._extract_other_members(row, zip_file)
        finally:
            zip_path.unlink()
        return downloaded

    def _extract_other_members(self, row: Checkpoint, zip_file: BinaryIO) -> None:
        for other in self._catalog.rows:
            if other.archive == row.archive and not self._path_of(other).exists():
                target, member = self._target(other), str(other.member)
                try:
                    self._record(other, self._downloader.extract(target, zip_file, member))
                except UnusableSourceError as error:
                    log.warning("%s: %s", other.file, error)

    def _record(self, row: Checkpoint, downloaded: DownloadedFile) -> None:
        path = self._path_of(row)
        ChecksumRecord(downloaded.bytes, path.stat().st_mtime_ns, downloaded.sha256).write(path)


def last_part(url: str) -> str:
    """Return the file name at the end of an address."""
    return urlsplit(url).path.rpartition("/")[2]
