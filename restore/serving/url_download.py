"""Downloading photos from URLs, with limits of size and time."""

from __future__ import annotations

import re
import time

import requests
from urllib3.exceptions import HTTPError

from restore.errors import Code, RestoreError, system_reason
from restore.imaging.limits import LIMITS
from restore.serving import addresses
from restore.serving.addresses import time_limited_session

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
CHUNK_BYTES = 2**16
MAX_CAUSE_CHARACTERS = 200
_CONNECTION = re.compile(r"\w+\(host='[^']*', port=\d+\): ")


def download(url: str, name: str, *, public: bool) -> bytes:
    """Return the content of an http(s) URL.

    Args:
        url: the address.
        name: name of the photo in errors.
        public: refuse hosts that are not on the public internet.

    Raises:
        RestoreError: PHOTO_MISSING, or PHOTO_TOO_LARGE as soon as the download exceeds the limit.
    """
    with time_limited_session(public=public) as session:
        try:
            return _download(url, name, session)
        except RestoreError as error:
            raise error.about(name) from error


def _download(url: str, name: str, session: requests.Session) -> bytes:
    remedy = "Check the URL, or download the photo yourself and send the file."
    took_too_long = f"the download took longer than {addresses.TOTAL_TIMEOUT_S:.0f} s"
    deadline_s = time.monotonic() + addresses.TOTAL_TIMEOUT_S
    try:
        data = _read_response(url, name, session)
    except (requests.RequestException, HTTPError, ValueError) as error:
        # The libraries raise ValueError for text that is not a URL.
        reason = f"the download failed ({_cause(error)})"
        if time.monotonic() >= deadline_s:
            reason = took_too_long
        raise RestoreError(Code.PHOTO_MISSING, reason, remedy, photo=name) from error
    if time.monotonic() >= deadline_s:
        # A connection that was shut down can look like a complete response.
        raise RestoreError(Code.PHOTO_MISSING, took_too_long, remedy, photo=name)
    return data


def _cause(error: Exception) -> str:
    """Return what is wrong with a connection, without the names of the library's classes."""
    wrapped = error.args[0] if error.args else None
    cause = getattr(wrapped, "reason", None) or error  # of a MaxRetryError
    return _CONNECTION.sub("", system_reason(cause))[:MAX_CAUSE_CHARACTERS]


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
