"""The way of a request into the queue: validation, storage of its photos, and the job."""

from __future__ import annotations

import asyncio
import mimetypes
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from restore.errors import Code, RestoreError
from restore.options import PHOTO_INPUTS
from restore.service import database
from restore.service.api.inputs import Inputs, PhotoValue, check_inputs
from restore.service.api.urls import check_public, is_http_url, own_file_id
from restore.service.file_writer import unwritable
from restore.service.ids import new_id
from restore.service.job_files import PREFIX, file_ids
from restore.service.new_files import Draft, NewFiles
from restore.service.records import Job, NewJob, StoredFile
from restore.serving.fetch import DATA_SCHEME, has_scheme, read_url

if TYPE_CHECKING:
    from restore.service.service import Service

EVENTS = ("start", "output", "logs", "completed")
"""The events of a job that a webhook may get."""

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
    """A photo or mask of a request that has been checked.

    Attributes:
        source: `file:ID`, an http(s) URL, or a data URI that has to be stored.
        name: the name that the user gave, or "".
    """

    source: str
    name: str


_Photos = Mapping[str, Sequence[_Photo]]


async def submit(
    service: Service,
    given: Mapping[str, object],
    *,
    owner: str,
    webhook: Webhook | None = None,
    deadline: datetime | None = None,
    durable: bool = True,
) -> Job:
    """Validate a request and put it into the queue.

    Args:
        given: the inputs of predict.py by name; None means "not given". A photo is a data URI, an
            http(s) URL, the URL of a file of the same owner, or a stored file of the same owner.
        owner: whose job it is.
        deadline: time after which the job is cancelled.
        durable: return when the disk has the job and its photos; if not, call `keep` before the
            client is told that the job was accepted.

    Returns:
        The job, which is in the database.

    Raises:
        RestoreError: for a request that is refused: any code of E1xx and E2xx, QUEUE_FULL,
            DISK_QUOTA, REQUEST_INVALID. Nothing of it stays in the store.
    """
    inputs = check_inputs(given)
    if webhook is not None:
        await _check_webhook(webhook.url)
    photos = {
        name: [
            await _photo(service, f"{name}[{index}]", each, owner)
            for index, each in enumerate(value)
        ]
        if isinstance(value, list)
        else [await _photo(service, name, value, owner)]
        for name, value in inputs.photos.items()
    }
    limits = await service.access.limits_of(owner)

    def enqueue() -> Job:
        with NewFiles(service.files, durable=durable) as new_files:
            references = _references(new_files, photos, owner, limits.stored_bytes)
            new = _new_job(service, inputs, references, photos, owner, webhook, deadline)
            return service.jobs.submit(
                new,
                max_waiting=service.settings.max_waiting_jobs,
                max_waiting_of_owner=limits.waiting_jobs,
                durable=durable,
                also=new_files.record,
            )

    return await asyncio.to_thread(enqueue)


def keep(service: Service, job: Job) -> None:
    """Wait until the disk has a job that was submitted without `durable`. Blocks.

    Raises:
        RestoreError: DISK_QUOTA if the disk fails.
    """
    service.files.sync(file_ids(job.input))
    try:
        database.flush(service.engine)
    except OSError as error:
        raise unwritable(error) from error


def _references(
    new_files: NewFiles, photos: _Photos, owner: str, owner_limit_bytes: int | None
) -> dict[str, object]:
    """Store the photos that are part of the request, and return the inputs of the job for photos.

    Raises:
        RestoreError: with the name of the input.
    """
    several = {photo_input.name for photo_input in PHOTO_INPUTS if photo_input.several}
    references: dict[str, object] = {}
    for name, values in photos.items():
        found = []
        for index, photo in enumerate(values):
            label = f"{name}[{index}]" if name in several else name
            source = photo.source
            if has_scheme(source, DATA_SCHEME):
                try:
                    draft = _draft(label, source, owner, owner_limit_bytes)
                    content = read_url(source, label, public=True)
                    source = f"{PREFIX}{new_files.add(content, draft)}"
                except RestoreError as error:
                    raise error.about(label) from error
            found.append(source)
        references[name] = found if name in several else found[0]
    return references


def _draft(label: str, uri: str, owner: str, owner_limit_bytes: int | None) -> Draft:
    """Return the description of the file of a data URI."""
    found = _MEDIA_TYPE.match(uri)
    media_type = found[1].lower() if found else "application/octet-stream"
    name = label + (mimetypes.guess_extension(media_type) or "")
    return Draft(owner, name, media_type, owner_limit_bytes=owner_limit_bytes)


def _new_job(
    service: Service,
    inputs: Inputs,
    references: Mapping[str, object],
    photos: _Photos,
    owner: str,
    webhook: Webhook | None,
    deadline: datetime | None,
) -> NewJob:
    return NewJob(
        id=new_id(),
        owner=owner,
        model=service.settings.model,
        version=service.version.id,
        input={**inputs.options, **references},
        filenames=tuple(photo.name for name in _PHOTO_NAMES for photo in photos.get(name, ())),
        webhook=webhook.url if webhook else None,
        webhook_events=webhook.events if webhook else (),
        deadline=deadline,
    )


async def _photo(service: Service, label: str, value: PhotoValue, owner: str) -> _Photo:
    """Check what a photo refers to; one that is part of the request is left as it is.

    Raises:
        RestoreError: with the name of the input.
    """
    try:
        if isinstance(value, StoredFile):
            return _Photo(f"{PREFIX}{value.id}", value.name)
        if has_scheme(value, DATA_SCHEME):
            return _Photo(value, "")
        if file_id := own_file_id(value):
            return await _own_file(service, file_id, owner)
        await check_public(value, "Send a data URI, an http(s) URL, or a file from POST /v1/files.")
        return _Photo(value, _name_in_url(value))
    except RestoreError as error:
        raise error.about(label) from error


async def _own_file(service: Service, file_id: str, owner: str) -> _Photo:
    stored = await asyncio.to_thread(service.files.get, file_id, owner)
    if stored is None:
        raise RestoreError(
            Code.PHOTO_MISSING,
            "there is no such file, it has expired, or it belongs to another API key",
            "Upload it with POST /v1/files.",
        )
    return _Photo(f"{PREFIX}{stored.id}", stored.name)


async def _check_webhook(url: str) -> None:
    remedy = "Send the http(s) URL of a public server."
    try:
        await check_public(url, remedy)
    except RestoreError as error:
        if is_http_url(url):
            remedy += " The operator can allow others with RESTORE_ALLOW=addresses."
        reason = f"webhook cannot be called: {error.reason}"
        raise RestoreError(Code.REQUEST_INVALID, reason, remedy) from error


def _name_in_url(url: str) -> str:
    return PurePosixPath(unquote(urlsplit(url).path)).name[:MAX_NAME_CHARACTERS]
