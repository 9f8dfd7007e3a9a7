"""Reading photos from URLs, data URIs and file names."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import requests
from urllib3.exceptions import HTTPError

from restore.errors import Code, RestoreError
from restore.imaging.limits import LIMITS
from restore.imaging.sources import NamedFile
from restore.serving import addresses
from restore.serving.addresses import time_limited_session

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
CHUNK_BYTES = 2**16
MAX_NAME_CHARACTERS = 80
MAX_CAUSE_CHARACTERS = 200

URL_SCHEMES = ("http://", "https://")
DATA_SCHEME = "data:"
FILE_SCHEME = "file://"


def fetch_photo(source: str, target: Path) -> NamedFile:
    """Make a photo named on the command line available as a file.

    Args:
        source: `@FILE`, `FILE`, a file URL, a data URI, or an http(s) URL.
        target: file for the content of a URL or data URI.

    Raises:
        RestoreError: PHOTO_MISSING if a URL or data URI cannot be read, PHOTO_TOO_LARGE.
    """
    if source.startswith((*URL_SCHEMES, DATA_SCHEME)):
        name = "data URI" if source.startswith(DATA_SCHEME) else _name_in_url(source)
        target.write_bytes(read_url(source, name, public=False))
        return NamedFile(name, target)
    if source.startswith(FILE_SCHEME):
        source = unquote(source.removeprefix(FILE_SCHEME))
    path = Path(source.removeprefix("@"))
    return NamedFile(path.name, path)


def read_url(url: str, name: str, *, public: bool) -> bytes:
    """Return the content of a data URI or of an http(s) URL.

    Args:
        name: name of the photo in errors.
        public: refuse hosts that are not on the public internet.

    Raises:
        RestoreError: PHOTO_MISSING, or PHOTO_TOO_LARGE as soon as a download exceeds the limit.
    """
    if url[: len(DATA_SCHEME)].lower() == DATA_SCHEME:
        return _decode_data_uri(url, name)
    with time_limited_session(public=public) as session:
        try:
            return _download(url, name, session)
        except RestoreError as error:
            raise error.about(name) from error


def _name_in_url(url: str) -> str:
    """Return the file name in a URL, without its query, which may hold a secret."""
    try:
        name = Path(urlsplit(url).path).name or urlsplit(url).hostname or ""
    except ValueError as error:
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"the URL is not valid ({error})",
            "Check the URL.",
            photo=url[:MAX_NAME_CHARACTERS],
        ) from error
    return name[:MAX_NAME_CHARACTERS] or "URL"


def _download(url: str, name: str, session: requests.Session) -> bytes:
    remedy = "Check the URL, or download the photo yourself and send the file."
    took_too_long = f"the download took longer than {addresses.TOTAL_TIMEOUT_S:.0f} s"
    deadline_s = time.monotonic() + addresses.TOTAL_TIMEOUT_S
    try:
        data = _read_response(url, name, session)
    except (requests.RequestException, HTTPError, ValueError) as error:
        # The libraries raise ValueError for text that is not a URL.
        reason = f"the download failed ({str(error)[:MAX_CAUSE_CHARACTERS]})"
        if time.monotonic() >= deadline_s:
            reason = took_too_long
        raise RestoreError(Code.PHOTO_MISSING, reason, remedy, photo=name) from error
    if time.monotonic() >= deadline_s:
        # A connection that was shut down can look like a complete response.
        raise RestoreError(Code.PHOTO_MISSING, took_too_long, remedy, photo=name)
    return data


def _read_response(url: str, name: str, session: requests.Session) -> bytes:
    data = bytearray()
    timeouts_s = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
    with session.get(url, stream=True, timeout=timeouts_s) as response:
        response.raise_for_status()
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=True):
            data += chunk
            if len(data) > LIMITS.max_bytes:
                reason = f"the file is larger than {LIMITS.max_bytes / 2**20:.0f} MiB"
                raise RestoreError(Code.PHOTO_TOO_LARGE, reason, "Send a smaller file.", photo=name)
    return bytes(data)


def _decode_data_uri(uri: str, name: str) -> bytes:
    header, comma, body = uri.partition(",")
    if not comma:
        raise _data_uri_error("it has no comma", name)
    try:
        data = unquote_to_bytes(body)
        if not header.endswith(";base64"):
            return data
        # Line breaks are common in base64.
        return base64.b64decode(b"".join(data.split()), validate=True)
    except ValueError as error:
        raise _data_uri_error(error, name) from error


def _data_uri_error(cause: object, name: str) -> RestoreError:
    return RestoreError(
        Code.PHOTO_MISSING,
        f"the data URI is not valid ({cause})",
        "Send data:image/jpeg;base64,...",
        photo=name,
    )
