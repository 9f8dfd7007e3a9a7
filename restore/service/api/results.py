"""The results of a job as a response: an image, or a ZIP file of several."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from restore.errors import Code, RestoreError
from restore.service.api.files import DOWNLOAD_HEADERS
from restore.service.api.stored_response import stored_response
from restore.service.job_files import file_ids
from restore.service.records import Job, StoredFile

if TYPE_CHECKING:
    from restore.service.service import Service

CHUNK_BYTES = 2**18
MAX_STEM_CHARACTERS = 100
_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_DEVICE = re.compile(r"^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", re.IGNORECASE)
"""Names of devices, which Windows refuses for files, whatever follows the first dot."""


def result_names(job: Job, results: list[StoredFile]) -> list[str]:
    """Return file names for the results, made from those of the photos; no two are equal.

    They have no folders and no characters that a file system may refuse, whatever the client has
    sent as the names of its photos.
    """
    names: list[str] = []
    for index, result in enumerate(results):
        photo = job.filenames[index] if index < len(job.filenames) else ""
        stem = _safe_stem(photo) or f"result-{index + 1}"
        suffix = PurePosixPath(result.name).suffix
        taken = {name.casefold() for name in names}
        name, number = f"{stem}{suffix}", 2
        while name.casefold() in taken:
            name, number = f"{stem}-{number}{suffix}", number + 1
        names.append(name)
    return names


def results_response(request: Request, job: Job) -> Response:
    """Return the results of a job that has succeeded. Blocks: call it from a thread.

    Raises:
        RestoreError: PHOTO_MISSING if they have been removed.
    """
    service: Service = request.app.state.service
    results = [service.files.get(file_id) for file_id in file_ids(job.output)]
    stored = [result for result in results if result is not None]
    if not stored or len(stored) < len(results):
        raise RestoreError(
            Code.PHOTO_MISSING, "the results have been removed", "Send the request again."
        )
    names = result_names(job, stored)
    headers = {**DOWNLOAD_HEADERS, "cache-control": "no-store", "x-job-id": job.id}
    paths = [service.files.path(result) for result in stored]
    if len(stored) == 1:
        headers["content-disposition"] = _disposition("inline", names[0])
        return stored_response(request, paths[0], headers, stored[0].content_type)
    headers["content-disposition"] = _disposition("attachment", "restored.zip")
    files = zip(names, paths, strict=True)
    return StreamingResponse(zip_chunks(list(files)), headers=headers, media_type="application/zip")


def zip_chunks(files: list[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a ZIP file of some files. Images are not compressed again."""
    target = _Chunks()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files:
            info = zipfile.ZipInfo.from_file(path, name)
            with path.open("rb") as source, archive.open(info, "w") as part:
                while chunk := source.read(CHUNK_BYTES):
                    part.write(chunk)
                    yield target.taken()
    yield target.taken()


class _Chunks:
    """A file that can only be written, for `zipfile`."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes, /) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: all data is in `taken`."""

    def close(self) -> None:
        """Do nothing."""

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _safe_stem(name: str) -> str:
    last = PurePosixPath(PureWindowsPath(name).name).name
    stem = PurePosixPath(_UNSAFE.sub("_", last)).stem[:MAX_STEM_CHARACTERS]
    return _DEVICE.sub(r"\1_", stem.strip(". "))


def _disposition(kind: str, name: str) -> str:
    return f"{kind}; filename*=utf-8''{quote(name, safe='')}"
