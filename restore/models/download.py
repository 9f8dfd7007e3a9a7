"""Bytes from one address into one file: resumed, bounded, and refused when they are not what was asked for.

`Downloader.fetch` takes a whole file, `Downloader.fetch_member` one file out of a remote zip. Both leave the target complete
and checked, or as it was. What has arrived of a broken transfer stays as `<file>.part` and the next call goes on from there.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TypeVar
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError

from restore.models.partial_download import (
    InterruptedTransferError,
    Origin,
    Part,
    Received,
    UnusableSourceError,
    Wanted,
    file_sha256,
    replace_durably,
    require_space,
    running_sha256,
    telling_no_space,
)

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
MAX_STALLED = 3  # attempts in a row that brought nothing
MAX_ATTEMPTS = (
    50  # GitHub cuts long downloads: each attempt that brings something earns the next one
)
BACKOFF_S = 0.5
CHUNK_BYTES = 1 << 18
RANGE_BYTES = 8 << 20

Progress = Callable[[str, int, int], None]
"""Called as progress(file name, bytes there are, bytes there will be), the last 0 while unknown."""

T = TypeVar("T")
log = logging.getLogger(__name__)


class NoRangesError(Exception):
    """This server sends whole files only."""


class Downloader:
    """Fetches files; remembers for its lifetime which hosts could not be reached, so that nobody waits for them twice."""

    def __init__(
        self, progress: Progress | None = None, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        """Args: `progress` hears of every chunk; `pause` waits that many seconds between attempts."""
        self._progress = progress
        self._pause = pause
        self._unreachable: dict[str, str] = {}

    def fetch(self, wanted: Wanted, url: str) -> Received:
        """Brings the file at `url` to `wanted.target`, going on from what is there of it.

        Raises:
            UnusableSourceError: the address cannot be reached, refuses, breaks off for good, or sends something else.
            RestoreError: WEIGHTS_NO_SPACE; what has arrived stays.
        """
        part = Part(wanted)
        log.info("fetching %s from %s", wanted.target.name, urlsplit(url).netloc)

        def attempt() -> Received:
            with requests.Session() as session, telling_no_space(wanted.target):
                return self._transfer(session, url, part)

        return self._persistently(attempt, lambda: part.bytes)

    def fetch_member(self, wanted: Wanted, url: str, member: str) -> Received:
        """Brings one member of the zip at `url` to `wanted.target`, reading nothing else of the zip but its directory.

        Raises:
            NoRangesError: the server sends whole files only.
            UnusableSourceError, RestoreError: as for `fetch`.
        """
        log.info("fetching %s out of %s", wanted.target.name, url)
        with requests.Session() as session:
            size = self._range(session, url, 0, 1)[1]
            ranges = _RangeFile(
                lambda start, stop: self._range(session, url, start, stop, size)[0], size
            )
            with io.BufferedReader(ranges, RANGE_BYTES) as remote:
                return self.extract(wanted, remote, member)

    def extract(self, wanted: Wanted, archive: IO[bytes], member: str) -> Received:
        """Writes one member of an open zip to `wanted.target`. Raises UnusableSourceError, RestoreError as for `fetch`."""
        scratch = wanted.target.with_name(wanted.target.name + ".member")
        digest = hashlib.sha256()
        try:
            with telling_no_space(wanted.target), zipfile.ZipFile(archive) as opened:
                size = opened.getinfo(member).file_size
                require_space(wanted.target, size)
                with opened.open(member) as source, scratch.open("wb") as sink:
                    chunks = iter(lambda: source.read(CHUNK_BYTES), b"")
                    self._write(chunks, sink, digest, wanted.target.name, done=0, total=size)
            reason = wanted.mismatch(digest.hexdigest(), size)
            if reason is not None:
                raise UnusableSourceError(reason)
            replace_durably(scratch, wanted.target)
        except KeyError as error:
            raise UnusableSourceError(f"the zip has no member {member}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise UnusableSourceError(f"the zip is damaged ({error})") from error
        finally:
            scratch.unlink(missing_ok=True)
        return Received(digest.hexdigest(), size)

    def _persistently(self, attempt: Callable[[], T], progress: Callable[[], int]) -> T:
        """Repeats an interrupted attempt as long as it gets on, a bounded number of times."""
        stalled, reason = 0, ""
        for _ in range(MAX_ATTEMPTS):
            before = progress()
            try:
                return attempt()
            except InterruptedTransferError as error:
                reason = str(error)
            stalled = 0 if progress() > before else stalled + 1
            if stalled == MAX_STALLED:
                break
            self._pause(BACKOFF_S * 2**stalled)
        raise UnusableSourceError(f"{reason}; gave up")

    def _transfer(self, session: requests.Session, url: str, part: Part) -> Received:
        """One request: the rest of the part, or the whole file where the rest cannot be had."""
        wanted, offset = part.wanted, part.resumable_bytes(url)
        if offset and offset == wanted.bytes:
            return part.accept(file_sha256(part.path), resumed=True)
        with self._open(session, url, part.resume_headers(url, offset)) as response:
            first, total = _extent(response)
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                return _accept_past_end(part, offset, total)
            _require_file(response, part, offset)
            expected = wanted.bytes if total is None else total
            require_space(wanted.target, (expected or 0) - first)
            part.begin(Origin(url, _validator(response), total), first)
            digest = running_sha256(part.path if first else None)
            chunks = response.iter_content(CHUNK_BYTES)
            with part.path.open("ab") as sink:
                self._write(
                    chunks if first else _no_page(chunks),
                    sink,
                    digest,
                    wanted.target.name,
                    done=first,
                    total=expected,
                )
        if expected is not None and part.bytes < expected:
            raise InterruptedTransferError(f"broke off after {part.bytes} of {expected} bytes")
        return part.accept(digest.hexdigest(), resumed=first > 0)

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
        """Writes, sums and reports each chunk."""
        for chunk in chunks:
            sink.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            if total is not None and done > total:
                raise UnusableSourceError(f"sends more than the {total} bytes expected")
            if self._progress:
                self._progress(name, done, total or 0)

    def _range(
        self, session: requests.Session, url: str, start: int, stop: int, size: int | None = None
    ) -> tuple[bytes, int]:
        """The bytes [start, stop) of a remote file, and the file's size."""

        def attempt() -> tuple[bytes, int]:
            with self._open(session, url, {"Range": f"bytes={start}-{stop - 1}"}) as response:
                _refuse_page(response)
                if response.status_code == requests.codes.ok:
                    raise NoRangesError
                first, total = _extent(response)
                if first != start or total is None or size not in (None, total):
                    raise UnusableSourceError("the zip's ranges do not fit together")
                content = response.content
            if len(content) != stop - start:
                raise InterruptedTransferError(f"sent {len(content)} of {stop - start} bytes")
            return content, total

        return self._persistently(attempt, lambda: 0)

    @contextmanager
    def _open(
        self, session: requests.Session, url: str, headers: dict[str, str]
    ) -> Iterator[requests.Response]:
        """An answer with status 200, 206 or 416; everything else becomes one of this module's errors."""
        host = urlsplit(url).netloc
        if host in self._unreachable:
            raise UnusableSourceError(self._unreachable[host])
        # Sums and sizes are of the file, not of a compressed form of it.
        headers = {"Accept-Encoding": "identity", **headers}
        try:
            with session.get(
                url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
            ) as response:
                _require_success(response)
                yield response
        except requests.RequestException as error:
            cause = _connect_failure(error)
            if cause is not None:
                self._unreachable[host] = f"cannot be reached ({cause})"
                raise UnusableSourceError(self._unreachable[host]) from error
            if isinstance(
                error, ValueError | requests.exceptions.SSLError | requests.TooManyRedirects
            ):
                raise UnusableSourceError(str(error)) from error
            raise InterruptedTransferError(f"broke off ({type(error).__name__})") from error


class _RangeFile(io.RawIOBase):
    """A remote file that is read where it is sought."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise OSError(errno.EINVAL, "seek before the start")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # typeshed asks for a private Buffer type
        stop = min(self._position + len(buffer), self._size)
        if stop <= self._position:
            return 0
        content = self._read(self._position, stop)
        buffer[: len(content)] = content
        self._position = stop
        return len(content)


def _validator(response: requests.Response) -> str | None:
    """What If-Range may carry: a strong ETag, or else the date."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """(first byte, size of the whole file or None) of an answer."""
    length = response.headers.get("Content-Length", "")
    if response.status_code == requests.codes.ok:
        return 0, int(length) if length.isdecimal() else None
    found = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", "")
    )
    if not found and response.status_code == requests.codes.requested_range_not_satisfiable:
        return 0, None
    if not found:
        raise UnusableSourceError("answers a range request without a Content-Range")
    return int(found[1] or 0), None if found[2] == "*" else int(found[2])


def _require_success(response: requests.Response) -> None:
    status = response.status_code
    if (
        status in (requests.codes.request_timeout, requests.codes.too_many_requests)
        or status >= 500
    ):
        raise InterruptedTransferError(f"HTTP {status}")
    if status not in (
        requests.codes.ok,
        requests.codes.partial_content,
        requests.codes.requested_range_not_satisfiable,
    ):
        raise UnusableSourceError(f"HTTP {status}")


def _require_file(response: requests.Response, part: Part, offset: int) -> None:
    """The answer is a file, of the right size, and goes on where the part ends."""
    _refuse_page(response)
    first, total = _extent(response)
    if first not in (0, offset):
        raise UnusableSourceError(f"sends bytes from {first} where {offset} was asked for")
    if part.wanted.bytes is not None and total not in (None, part.wanted.bytes):
        raise UnusableSourceError(f"has {total} bytes, {part.wanted.bytes} expected")
    origin = part.origin
    if first and origin and origin.total not in (None, total):
        part.discard()
        raise InterruptedTransferError("the remote file has changed")


def _refuse_page(response: requests.Response) -> None:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise UnusableSourceError(f"answers with a page ({kind}) in place of a file")


def _no_page(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, unless they begin like a page; a safetensors file may begin with '<' too, but then has zeros behind it."""
    for index, chunk in enumerate(chunks):
        if index == 0 and chunk.lstrip().startswith(b"<") and b"\0" not in chunk[:8]:
            raise UnusableSourceError("answers with a page in place of a file")
        yield chunk


def _accept_past_end(part: Part, offset: int, total: int | None) -> Received:
    """Answer to a range that begins at or behind the end: the part is either complete or of another file."""
    if offset and offset == total:
        return part.accept(file_sha256(part.path), resumed=True)
    part.discard()
    raise InterruptedTransferError("the remote file has changed")


def _connect_failure(error: requests.RequestException) -> str | None:
    """Why no connection came about, or None when one did."""
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, NewConnectionError | ConnectTimeoutError | ProxyError):
        return str(reason).rpartition(": ")[2]
    return None
