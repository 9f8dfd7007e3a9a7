"""Downloads files: resumes interrupted transfers, limits retries and rejects wrong content.

`Downloader.fetch` downloads a whole file, `Downloader.fetch_member` one file out of a remote zip.
Both leave the target file complete and checked, or unchanged. An interrupted transfer leaves
`<file>.part`, which the next call resumes.
"""

from __future__ import annotations

import hashlib
import io
import logging
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TypeVar
from urllib.parse import urlsplit

import requests

from restore.models.host_status import HostStatus
from restore.models.http_responses import (
    byte_range,
    connect_failure,
    refuse_web_page,
    request_failure,
    require_file,
    require_success,
    validator_of,
    without_web_page,
)
from restore.models.partial_download import (
    DownloadedFile,
    DownloadTarget,
    InterruptedTransferError,
    Origin,
    PartialFile,
    UnusableSourceError,
    disk_full_as_restore_error,
    file_sha256,
    replace_durably,
    require_space,
    running_sha256,
)
from restore.models.range_file import RangeFile
from restore.runtime.progress import Progress

MAX_STALLED_ATTEMPTS = 3
"""Attempts in a row that are answered but do not advance the download."""
MAX_ATTEMPTS = 50
"""GitHub cuts long downloads: attempts continue as long as each one receives something."""
BACKOFF_S = 0.5
CHUNK_BYTES = 1 << 18
RANGE_BYTES = 8 << 20

T = TypeVar("T")
log = logging.getLogger(__name__)


class NoRangesError(Exception):
    """The server does not support range requests."""


class SilentHostError(InterruptedTransferError):
    """A connection was made, but nothing was received before it ended or timed out."""


class Downloader:
    """Downloads files; does not try a host again that could not be reached or stayed silent.

    Args:
        progress: called as progress(file name, bytes done, bytes in total or 0) for every chunk.
        pause: waits a number of seconds between two attempts.
        hosts: which hosts failed, and how long others are waited for; default: patiently.
    """

    def __init__(
        self,
        progress: Progress | None = None,
        *,
        pause: Callable[[float], None] = time.sleep,
        hosts: HostStatus | None = None,
    ) -> None:
        self._progress = progress
        self._pause = pause
        self.hosts = hosts or HostStatus()

    def fetch(self, target: DownloadTarget, url: str) -> DownloadedFile:
        """Download the file at `url`, resuming an earlier transfer.

        Raises:
            UnreachableHostError: the host cannot be reached or stays silent.
            UnusableSourceError: the address refuses the request, is interrupted too often or
                sends something else.
            RestoreError: WEIGHTS_NO_SPACE; what has arrived is kept.
        """
        self.hosts.require_usable(url)
        part = PartialFile(target)
        log.info("downloading %s from %s", target.path.name, urlsplit(url).netloc)

        def attempt() -> DownloadedFile:
            with requests.Session() as session, disk_full_as_restore_error(target.path):
                return self._transfer(session, url, part)

        return self._retry(url, attempt, lambda: part.bytes)

    def fetch_member(self, target: DownloadTarget, url: str, member: str) -> DownloadedFile:
        """Download one member of the zip at `url`, and nothing else but the zip's directory.

        Raises:
            NoRangesError: the server does not support range requests.
            UnusableSourceError, RestoreError: as `fetch`.
        """
        self.hosts.require_usable(url)
        log.info("downloading %s out of a zip from %s", target.path.name, urlsplit(url).netloc)
        with requests.Session() as session:
            size = self._read_range(session, url, 0, 1)[1]
            remote = RangeFile(
                lambda start, stop: self._read_range(session, url, start, stop, size)[0], size
            )
            with io.BufferedReader(remote, RANGE_BYTES) as buffered:
                return self.extract(target, buffered, member)

    def extract(self, target: DownloadTarget, archive: IO[bytes], member: str) -> DownloadedFile:
        """Extract one member of an open zip.

        Raises:
            UnusableSourceError: the zip is damaged, has no such member or a wrong one.
            RestoreError: WEIGHTS_NO_SPACE.
        """
        scratch = target.path.with_name(target.path.name + ".member")
        digest = hashlib.sha256()
        try:
            with disk_full_as_restore_error(target.path), zipfile.ZipFile(archive) as opened:
                size = opened.getinfo(member).file_size
                require_space(target.path, size)
                with opened.open(member) as source, scratch.open("wb") as sink:
                    chunks = iter(lambda: source.read(CHUNK_BYTES), b"")
                    self._write(chunks, sink, digest, target.path.name, done=0, total=size)
            reason = target.mismatch(digest.hexdigest(), size)
            if reason is not None:
                raise UnusableSourceError(reason)
            replace_durably(scratch, target.path)
        except KeyError as error:
            raise UnusableSourceError(f"the zip has no member {member}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise UnusableSourceError(f"the zip is damaged ({error})") from error
        finally:
            scratch.unlink(missing_ok=True)
        return DownloadedFile(digest.hexdigest(), size)

    def _retry(self, url: str, attempt: Callable[[], T], bytes_received: Callable[[], int]) -> T:
        """Repeat an interrupted attempt while it receives something, up to MAX_ATTEMPTS times."""
        stalled = 0
        for _ in range(MAX_ATTEMPTS):
            before, began = bytes_received(), time.monotonic()
            try:
                return attempt()
            except InterruptedTransferError as error:
                reason, is_silent = str(error), isinstance(error, SilentHostError)
            if bytes_received() > before:
                stalled = 0
            else:
                stalled += 1
                self.hosts.record_silence(time.monotonic() - began if is_silent else 0.0)
            if is_silent and stalled >= self.hosts.max_silent_attempts(url):
                raise self.hosts.record_failure(url, f"does not answer ({reason}; gave up)")
            if stalled == MAX_STALLED_ATTEMPTS:
                break
            self._pause(BACKOFF_S * 2**stalled)
        raise UnusableSourceError(f"{reason}; gave up")

    def _transfer(self, session: requests.Session, url: str, part: PartialFile) -> DownloadedFile:
        """Make one request: for the rest of the file, or for all of it."""
        target, offset = part.target, part.resumable_bytes(url)
        if offset and offset == target.bytes:
            return part.accept(file_sha256(part.path), resumed=True)
        with self._open(session, url, part.resume_headers(url, offset)) as response:
            first, total = byte_range(response)
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                return _accept_past_end(part, offset, total)
            require_file(response, part, offset)
            expected = target.bytes if total is None else total
            require_space(target.path, (expected or 0) - first)
            part.begin(Origin(url, validator_of(response), total), first)
            digest = running_sha256(part.path if first else None)
            chunks: Iterable[bytes] = response.iter_content(CHUNK_BYTES)
            chunks = chunks if first else without_web_page(chunks)
            with part.path.open("ab") as sink:
                self._write(
                    self._recorded(url, chunks),
                    sink,
                    digest,
                    target.path.name,
                    done=first,
                    total=expected,
                )
        if expected is not None and part.bytes < expected:
            raise InterruptedTransferError(f"interrupted after {part.bytes} of {expected} bytes")
        return part.accept(digest.hexdigest(), resumed=first > 0)

    def _recorded(self, url: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks of a response; with the first one, its host has delivered something."""
        for index, chunk in enumerate(chunks):
            if index == 0:
                self.hosts.record_delivery(url)
            yield chunk

    def _write(
        self,
        chunks: Iterable[bytes],
        sink: IO[bytes],
        digest: hashlib._Hash,
        name: str,
        *,
        done: int,
        total: int | None,
    ) -> None:
        """Write, hash and report each chunk."""
        for chunk in chunks:
            sink.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if total is not None and done > total:
                raise UnusableSourceError(f"sent more than the expected {total} bytes")
            if self._progress:
                self._progress(name, done, total or 0)

    def _read_range(
        self, session: requests.Session, url: str, start: int, stop: int, size: int | None = None
    ) -> tuple[bytes, int]:
        """Return the bytes [start, stop) of a remote file, and the file's size."""

        def attempt() -> tuple[bytes, int]:
            with self._open(session, url, {"Range": f"bytes={start}-{stop - 1}"}) as response:
                refuse_web_page(response)
                if response.status_code == requests.codes.ok:
                    raise NoRangesError
                first, total = byte_range(response)
                if first != start or total is None or size not in (None, total):
                    raise UnusableSourceError("sent another range of the zip than requested")
                content = response.content
                if content:
                    self.hosts.record_delivery(url)
            if len(content) != stop - start:
                raise InterruptedTransferError(f"sent {len(content)} of {stop - start} bytes")
            return content, total

        return self._retry(url, attempt, lambda: 0)

    @contextmanager
    def _open(
        self, session: requests.Session, url: str, headers: dict[str, str]
    ) -> Iterator[requests.Response]:
        """Open a response with status 200, 206 or 416; convert all errors to those of `fetch`."""
        # Checksums and sizes are those of the file, not of a compressed transfer.
        headers = {"Accept-Encoding": "identity", **headers}
        timeouts_s = self.hosts.timeouts_s(url)
        try:
            with session.get(url, headers=headers, stream=True, timeout=timeouts_s) as response:
                self.hosts.record_answer()
                require_success(response)
                yield response
        except requests.RequestException as error:
            cause = connect_failure(error)
            if cause is not None:
                raise self.hosts.record_failure(url, f"cannot be reached ({cause})") from error
            if isinstance(
                error, ValueError | requests.exceptions.SSLError | requests.TooManyRedirects
            ):
                raise UnusableSourceError(request_failure(error)) from error
            raise SilentHostError(f"interrupted ({type(error).__name__})") from error


def _accept_past_end(part: PartialFile, offset: int, total: int | None) -> DownloadedFile:
    """Handle a range past the end: the partial file is complete, or belongs to another file."""
    if offset and offset == total:
        return part.accept(file_sha256(part.path), resumed=True)
    part.discard()
    raise InterruptedTransferError("the remote file has changed")
