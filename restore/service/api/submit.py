"""The way of a request into the queue: validation, storage of its photos, and the job."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from restore.errors import Code, RestoreError
from restore.options import PHOTO_INPUTS
from restore.service.api.inputs import Inputs, PhotoValue, check_inputs
from restore.service.api.urls import check_public, own_file_id
from restore.service.ids import new_id
from restore.service.job_files import PREFIX
from restore.service.records import Job, NewJob, StoredFile
from restore.serving.fetch import DATA_SCHEME, has_scheme, read_url

if TYPE_CHECKING:
    from restore.service.service import Service

EVENTS = ("start", "output", "logs", "completed")
"""The events of a job that a webhook may get."""

CHUNK_BYTES = 2**20
MAX_NAME_CHARACTERS = 200

_MEDIA_TYPE = re.compile(r"\s*data:([\w.+-]+/[\w.+-]+)", re.IGNORECASE)
_PHOTO_NAMES = ("image", "images")


@dataclass(frozen=True)
class Webhook:
    """What to call on events of a job."""

    url: str
    events: tuple[str, ...] = EVENTS


@dataclass(frozen=True)
class _Photo:
    """A photo or mask of a request, as it is written into the job.

    Attributes:
        reference: `file:ID`, or an http(s) URL.
        name: the name that the user gave, or "".
        stored: the file that was stored for this request, or None for one that was there before.
    """

    reference: str
    name: str
    stored: StoredFile | None = None


async def submit(
    service: Service,
    given: Mapping[str, object],
    *,
    owner: str,
    webhook: Webhook | None = None,
    deadline: datetime | None = None,
) -> Job:
    """Validate a request and put it into the queue.

    Args:
        given: the inputs of predict.py by name; None means "not given". A photo is a data URI, an
            http(s) URL, the URL of a file of the same owner, or a stored file of the same owner.
        owner: whose job it is.
        deadline: time after which the job is cancelled.

    Returns:
        The job, which is in the database.

    Raises:
        RestoreError: for a request that is refused: any code of E1xx and E2xx, QUEUE_FULL,
            DISK_QUOTA, REQUEST_INVALID. Nothing of it stays in the store.
    """
    inputs = check_inputs(given)
    if webhook is not None:
        await _check_webhook(webhook.url)
    photos: dict[str, list[_Photo]] = {}
    try:
        for name, value in inputs.photos.items():
            photos[name] = []
            values = value if isinstance(value, list) else [value]
            for index, each in enumerate(values):
                label = f"{name}[{index}]" if isinstance(value, list) else name
                photos[name].append(await _photo(service, label, each, owner))
        return await _enqueue(service, _new_job(service, inputs, photos, owner, webhook, deadline))
    except BaseException:
        await _discard(service, photos)
        raise


def _new_job(
    service: Service,
    inputs: Inputs,
    photos: Mapping[str, list[_Photo]],
    owner: str,
    webhook: Webhook | None,
    deadline: datetime | None,
) -> NewJob:
    several = {photo_input.name for photo_input in PHOTO_INPUTS if photo_input.several}
    references: dict[str, object] = {}
    for name, values in photos.items():
        texts = [photo.reference for photo in values]
        references[name] = texts if name in several else texts[0]
    return NewJob(
        id=new_id(),
        owner=owner,
        model=service.settings.model,
        version=service.version.id,
        input={**inputs.options, **references},
        filenames=tuple(photo.name for name in _PHOTO_NAMES for photo in photos.get(name, [])),
        webhook=webhook.url if webhook else None,
        webhook_events=webhook.events if webhook else (),
        deadline=deadline,
    )


async def _enqueue(service: Service, new: NewJob) -> Job:
    limits = await service.access.limits_of(new.owner)
    return await asyncio.to_thread(
        service.jobs.submit,
        new,
        max_waiting=service.settings.max_waiting_jobs,
        max_waiting_of_owner=limits.waiting_jobs,
    )


async def _photo(service: Service, label: str, value: PhotoValue, owner: str) -> _Photo:
    """Store a photo if it is part of the request, or check what it refers to.

    Raises:
        RestoreError: with the name of the input.
    """
    try:
        if isinstance(value, StoredFile):
            return _Photo(f"{PREFIX}{value.id}", value.name)
        if has_scheme(value, DATA_SCHEME):
            return await _upload(service, label, value, owner)
        if file_id := own_file_id(value):
            return await _own_file(service, file_id, owner)
        await check_public(value, "Send a data URI, an http(s) URL, or a file from POST /v1/files.")
        return _Photo(value, _name_in_url(value))
    except RestoreError as error:
        raise error.about(label) from error


async def _upload(service: Service, label: str, uri: str, owner: str) -> _Photo:
    content = await asyncio.to_thread(read_url, uri, label, public=True)
    found = _MEDIA_TYPE.match(uri)
    media_type = found[1].lower() if found else "application/octet-stream"
    limits = await service.access.limits_of(owner)
    stored = await service.files.save(
        _chunks(content),
        owner=owner,
        name=label + (mimetypes.guess_extension(media_type) or ""),
        content_type=media_type,
        owner_limit_bytes=limits.stored_bytes,
    )
    return _Photo(f"{PREFIX}{stored.id}", "", stored)


async def _own_file(service: Service, file_id: str, owner: str) -> _Photo:
    stored = await asyncio.to_thread(service.files.get, file_id, owner)
    if stored is None:
        raise RestoreError(
            Code.PHOTO_MISSING,
            "there is no such file, it has expired, or it belongs to another API key",
            "Upload it with POST /v1/files.",
        )
    return _Photo(f"{PREFIX}{stored.id}", stored.name)


async def _discard(service: Service, photos: Mapping[str, list[_Photo]]) -> None:
    """Remove what was stored for a request that is refused."""
    for values in photos.values():
        for photo in values:
            if photo.stored is not None:
                await asyncio.to_thread(service.files.delete, photo.stored.id)


async def _check_webhook(url: str) -> None:
    try:
        await check_public(url, "Send the URL of a public server.")
    except RestoreError as error:
        raise RestoreError(
            Code.REQUEST_INVALID,
            f"webhook cannot be called: {error.reason}",
            "Send the http(s) URL of a public server. The operator can allow others with"
            " RESTORE_ALLOW=addresses.",
        ) from error


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    view = memoryview(content)
    for start in range(0, len(content), CHUNK_BYTES):
        yield bytes(view[start : start + CHUNK_BYTES])


def _name_in_url(url: str) -> str:
    return PurePosixPath(unquote(urlsplit(url).path)).name[:MAX_NAME_CHARACTERS]
