"""Checks of HTTP responses: is this the requested file, and which part of it?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError

from restore.errors import system_reason
from restore.models.partial_download import (
    InterruptedTransferError,
    PartialFile,
    UnusableSourceError,
)

_ACCEPTED = (
    requests.codes.ok,
    requests.codes.partial_content,
    requests.codes.requested_range_not_satisfiable,
)
_RETRIED = (requests.codes.request_timeout, requests.codes.too_many_requests)
_MIN_SERVER_ERROR = 500


def require_success(response: requests.Response) -> None:
    """Accept status 200, 206 and 416 (which PartialFile handles).

    Raises:
        InterruptedTransferError: the server is busy or has failed; try again.
        UnusableSourceError: any other status.
    """
    status = response.status_code
    if status in _RETRIED or status >= _MIN_SERVER_ERROR:
        raise InterruptedTransferError(f"HTTP {status}")
    if status not in _ACCEPTED:
        raise UnusableSourceError(f"HTTP {status}")


def require_file(response: requests.Response, part: PartialFile, offset: int) -> None:
    """Check that a response is a file of the right size and continues the partial file.

    Args:
        response: the response, with status 200 or 206.
        part: what has arrived so far.
        offset: the first byte that was requested.

    Raises:
        InterruptedTransferError: the remote file has changed; the partial file is deleted.
        UnusableSourceError: it is a web page, of another size or from another offset.
    """
    refuse_web_page(response)
    first, total = byte_range(response)
    if first not in (0, offset):
        raise UnusableSourceError(f"sent bytes from {first}, requested were bytes from {offset}")
    expected = part.target.bytes
    if expected is not None and total not in (None, expected):
        raise UnusableSourceError(f"has {total} bytes, expected {expected}")
    origin = part.origin
    if first and origin and origin.total not in (None, total):
        part.discard()
        raise InterruptedTransferError("the remote file has changed")


def byte_range(response: requests.Response) -> tuple[int, int | None]:
    """Return the first byte of a response, and the size of the whole file if known.

    Raises:
        UnusableSourceError: a partial response has no Content-Range.
    """
    length = response.headers.get("Content-Length", "")
    if response.status_code == requests.codes.ok:
        return 0, int(length) if length.isdecimal() else None
    header = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", header)
    if not match and response.status_code == requests.codes.requested_range_not_satisfiable:
        return 0, None
    if not match:
        raise UnusableSourceError("sent a partial response without Content-Range")
    return int(match[1] or 0), None if match[2] == "*" else int(match[2])


def validator_of(response: requests.Response) -> str | None:
    """Return the value for an If-Range header: a strong ETag, else the date."""
    etag = response.headers.get("ETag", "")
    return etag if etag.startswith('"') else response.headers.get("Last-Modified")


def refuse_web_page(response: requests.Response) -> None:
    """Refuse a response whose Content-Type is a web page, such as a quota notice.

    Raises:
        UnusableSourceError: it is a web page.
    """
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        raise UnusableSourceError(f"sent a web page ({kind}) instead of a file")


def without_web_page(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the chunks of a file, and refuse one that begins like a web page.

    A safetensors file may also begin with '<', but zeros follow.

    Raises:
        UnusableSourceError: it is a web page.
    """
    for index, chunk in enumerate(chunks):
        if index == 0 and chunk.lstrip().startswith(b"<") and b"\0" not in chunk[:8]:
            raise UnusableSourceError("sent a web page instead of a file")
        yield chunk


def connect_failure(error: requests.RequestException) -> str | None:
    """Describe why no connection was made; None if the error occurred later."""
    cause = _cause_of(error)
    if isinstance(cause, NewConnectionError | ConnectTimeoutError | ProxyError):
        return system_reason(cause).rpartition(": ")[2]
    return None


def request_failure(error: requests.RequestException) -> str:
    """Describe why a request failed, without the names of the library's objects."""
    return system_reason(_cause_of(error))


def _cause_of(error: requests.RequestException) -> Exception:
    cause = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    return cause if isinstance(cause, Exception) else error
