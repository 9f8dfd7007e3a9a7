"""Where photos come from, as named files: what a Cog request holds, and what a command line names."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

import requests

from restore.errors import Code, RestoreError
from restore.photo import LIMITS

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0


class NamedFile(NamedTuple):
    """A photo's file under the name that the caller knows it by."""

    name: str
    path: Path


def uploads(image: object, images: Sequence[object] | None, name: str = "image") -> list[NamedFile]:
    """The photos of a request in order: `image` first, then `images`, named `image` and `images[0]` and on.

    Cog hands uploads over as temporary files with names of its own, but a plain string (a path on the server's disk, which is
    nobody's to send) as it came.

    Args:
        image, images: the two inputs.
        name: what the first is called; the second is its plural.

    Raises:
        RestoreError: PHOTO_MISSING for anything that is not an uploaded file.
    """
    named = [] if image is None else [(name, image)]
    named += [(f"{name}s[{index}]", item) for index, item in enumerate(images or ())]
    files = []
    for called, item in named:
        if isinstance(item, str) or not isinstance(item, os.PathLike):
            remedy = "Send a data URI or an http(s) URL; with `cog predict`, put @ before a file name."
            raise RestoreError(Code.PHOTO_MISSING, "is not an uploaded file", remedy, photo=called)
        files.append(NamedFile(called, Path(item)))
    return files


def fetched(source: str, target: Path) -> NamedFile:
    """A photo named on the command line: `@FILE`, a plain path, a data URI, or an http(s) URL whose bytes go to `target`.

    Raises:
        RestoreError: PHOTO_MISSING when a URL or data URI gives no file, PHOTO_TOO_LARGE as soon as one gives too much.
    """
    if source.startswith(("http://", "https://")):
        try:
            name = Path(urlsplit(source).path).name or urlsplit(source).netloc
        except ValueError as error:
            raise RestoreError(Code.PHOTO_MISSING, f"is no address ({error})", "Check the address.", photo=source[:80]) from error
        target.write_bytes(_downloaded(source, name))
        return NamedFile(name, target)
    if source.startswith("data:"):
        target.write_bytes(_decoded(source))
        return NamedFile("data URI", target)
    path = Path(source.removeprefix("@"))
    return NamedFile(path.name, path)


def _downloaded(url: str, name: str) -> bytes:
    remedy = "Check the address, or download the photo and name its file."
    data = bytearray()
    try:
        with requests.get(url, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_content(2**16):
                data += chunk
                if len(data) > LIMITS.max_bytes:
                    reason = f"is larger than {LIMITS.max_bytes / 2**20:.0f} MiB"
                    raise RestoreError(Code.PHOTO_TOO_LARGE, reason, "Send a smaller file.", photo=name)
    except requests.RequestException as error:
        raise RestoreError(Code.PHOTO_MISSING, f"could not be downloaded ({str(error)[:200]})", remedy, photo=name) from error
    return bytes(data)


def _decoded(uri: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise RestoreError(Code.PHOTO_MISSING, "has no comma, so it holds no data", "Send data:image/jpeg;base64,...", photo="data URI")
    try:
        return base64.b64decode(body, validate=True) if head.endswith(";base64") else unquote_to_bytes(body)
    except ValueError as error:
        reason = f"is no base64 ({error})"
        raise RestoreError(Code.PHOTO_MISSING, reason, "Send data:image/jpeg;base64,...", photo="data URI") from error
