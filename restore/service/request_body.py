"""The request of a job to a Cog server.

A worker on this machine gets the paths of the stored photos, which it may read below the folders
named by RESTORE_INPUT_FOLDERS. Any other worker gets the photos as data URIs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.errors import Code, RestoreError
from restore.service.files import FileStore
from restore.service.job_files import PREFIX
from restore.service.records import Job
from restore.serving.body_reader import MAX_BODY_BYTES
from restore.serving.fetch import URL_SCHEMES, has_scheme
from restore.serving.request_body import FILE_INPUTS

CHUNK_BYTES = 3 * 2**18
"""A multiple of three, so that the base64 text of the chunks is that of the whole file."""


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


def request_body(job: Job, files: FileStore, *, shares_disk: bool) -> RequestBody:
    """Build the request of a job. Blocks.

    Args:
        shares_disk: whether the worker may read the stored files itself.

    Raises:
        RestoreError: PHOTO_MISSING if a photo has been removed or is not a photo of this owner;
            PHOTO_TOO_LARGE if the photos together exceed the limit of a request.
    """
    embedded: dict[str, Path] = {}

    def source_of(value: Any) -> str:  # noqa: ANN401 - any JSON value
        if isinstance(value, str) and has_scheme(value, *URL_SCHEMES):
            return value
        file = None
        if isinstance(value, str) and value.startswith(PREFIX):
            file = files.get(value.removeprefix(PREFIX), job.owner)
        if file is None:
            raise _removed()
        path = files.path(file).resolve()
        if shares_disk:
            return str(path)
        mark = uuid.uuid4().hex
        embedded[mark] = path
        return f"data:{file.content_type};base64,{mark}"

    inputs = {
        name: _replaced(value, source_of) if name in FILE_INPUTS else value
        for name, value in job.input.items()
    }
    return _body(json.dumps({"input": inputs}).encode(), embedded)


def _replaced(value: Any, source_of: Callable[[Any], str]) -> str | list[str]:  # noqa: ANN401
    return [source_of(item) for item in value] if isinstance(value, list) else source_of(value)


def _body(text: bytes, embedded: dict[str, Path]) -> RequestBody:
    """Put files in the place of their marks in a text."""
    if not embedded:
        return RequestBody((text,), len(text))
    marks = "|".join(embedded).encode()
    parts: list[bytes | Path] = []
    size = 0
    for piece in re.split(b"(%b)" % marks, text):
        path = embedded.get(piece.decode())
        parts.append(path or piece)
        try:
            size += (path.stat().st_size + 2) // 3 * 4 if path else len(piece)
        except FileNotFoundError as error:
            raise _removed() from error
    if size > MAX_BODY_BYTES:
        limit_mib = MAX_BODY_BYTES * 3 / 4 / 2**20
        raise RestoreError(
            Code.PHOTO_TOO_LARGE,
            f"the photos have {size * 3 / 4 / 2**20:.0f} MiB together, and a worker on another"
            f" machine takes {limit_mib:.0f} MiB per job",
            "Send fewer photos in one job.",
        )
    return RequestBody(tuple(parts), size)


def _removed() -> RestoreError:
    return RestoreError(
        Code.PHOTO_MISSING, "a photo of this job has been removed", "Upload the photo again."
    )
