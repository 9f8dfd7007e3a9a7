"""The request of a job to a Cog server.

A worker on this machine gets the paths of the stored photos, which it may read below the folders
named by RESTORE_INPUT_FOLDERS. Any other worker gets the photos as data URIs; if they exceed Cog's
limit together, it gets signed URLs of the service, provided that the service has a public URL.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from restore.errors import Code, RestoreError
from restore.service.api.urls import download_url
from restore.service.files import FileStore
from restore.service.job_files import PREFIX, file_ids
from restore.service.records import Job, StoredFile
from restore.serving.body_reader import MAX_BODY_BYTES
from restore.serving.fetch import URL_SCHEMES, has_scheme
from restore.serving.request_body import FILE_INPUTS

CHUNK_BYTES = 3 * 2**18
"""A multiple of three, so that the base64 text of the chunks is that of the whole file."""
URL_LIFETIME = timedelta(hours=1)


@dataclass(frozen=True)
class RequestBody:
    """A JSON body, part of which is still in files.

    Attributes:
        parts: pieces of JSON, and files whose base64 text stands between them.
        size: bytes of the body.
    """

    parts: tuple[bytes | Path, ...]
    size: int

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body. At most one chunk of a file is in memory.

        Raises:
            RestoreError: PHOTO_MISSING if a file has been removed.
        """
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
                continue
            try:
                with part.open("rb") as file:
                    while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
                        yield base64.b64encode(chunk)
            except FileNotFoundError as error:
                raise _removed() from error


def request_body(
    job: Job, files: FileStore, *, shares_disk: bool, public_url: str | None = None
) -> RequestBody:
    """Build the request of a job. Blocks.

    Args:
        shares_disk: whether the worker may read the stored files itself.
        public_url: base URL of the service for workers on other machines, or None.

    Raises:
        RestoreError: PHOTO_MISSING if a photo has been removed or is not a photo of this owner;
            PHOTO_TOO_LARGE if the photos together exceed the limit of a request.
    """
    if shares_disk:
        return _body(job, files, lambda file: str(files.path(file).resolve()))
    body = _with_data_uris(job, files)
    if body.size <= MAX_BODY_BYTES:
        return body
    if public_url is None:
        size_mib, limit_mib = (size * 3 / 4 / 2**20 for size in (body.size, MAX_BODY_BYTES))
        raise RestoreError(
            Code.PHOTO_TOO_LARGE,
            f"the photos have {size_mib:.0f} MiB together, and a worker on another machine takes"
            f" {limit_mib:.0f} MiB per job",
            "Send fewer photos in one job. The operator can set --public-url: then workers fetch"
            " large photos from there.",
        )
    return _body(job, files, lambda file: _signed_url(file, files, public_url))


def _with_data_uris(job: Job, files: FileStore) -> RequestBody:
    paths: dict[str, Path] = {}

    def mark(file: StoredFile) -> str:
        name = uuid.uuid4().hex
        paths[name] = files.path(file)
        return f"data:{file.content_type};base64,{name}"

    [text] = _body(job, files, mark).parts
    assert isinstance(text, bytes)
    parts: list[bytes | Path] = []
    size = 0
    for piece in re.split(b"(%b)" % "|".join(paths or ["$"]).encode(), text):
        path = paths.get(piece.decode())
        parts.append(path or piece)
        try:
            size += (path.stat().st_size + 2) // 3 * 4 if path else len(piece)
        except FileNotFoundError as error:
            raise _removed() from error
    return RequestBody(tuple(parts), size)


def _signed_url(file: StoredFile, files: FileStore, public_url: str) -> str:
    # The file of a waiting job is kept for longer than its own time.
    ends_at = max(file.expires_at, datetime.now(UTC) + URL_LIFETIME)
    token = files.url_token(replace(file, expires_at=ends_at))
    return download_url(public_url.rstrip("/"), file.id, token, file.name)


def _body(job: Job, files: FileStore, source_of: Callable[[StoredFile], str]) -> RequestBody:
    """Build a request in which stored files are named by `source_of`."""

    def source(value: Any) -> str:  # noqa: ANN401 - any JSON value
        if isinstance(value, str) and has_scheme(value, *URL_SCHEMES):
            return value
        file = None
        if isinstance(value, str) and value.startswith(PREFIX):
            file = stored.get(value.removeprefix(PREFIX))
        if file is None or file.owner != job.owner:
            raise _removed()
        return source_of(file)

    wanted = list(file_ids(job.input))
    stored = files.recent.get(wanted) or files.get_many(wanted)

    inputs = {
        name: _replaced(value, source) if name in FILE_INPUTS else value
        for name, value in job.input.items()
    }
    text = json.dumps({"input": inputs}).encode()
    return RequestBody((text,), len(text))


def _replaced(value: Any, source_of: Callable[[Any], str]) -> str | list[str]:  # noqa: ANN401
    return [source_of(item) for item in value] if isinstance(value, list) else source_of(value)


def _removed() -> RestoreError:
    return RestoreError(
        Code.PHOTO_MISSING, "a photo of this job has been removed", "Upload the photo again."
    )
