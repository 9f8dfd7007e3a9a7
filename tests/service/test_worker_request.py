"""Tests of restore.service.request_body. test_dispatcher.py tests the smaller cases."""

import asyncio
import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from servicejobs import new_job
from sqlalchemy import update

from restore.errors import Code, RestoreError
from restore.service import database, request_body, tables
from restore.service.files import FileStore
from restore.service.jobs import JobStore
from restore.service.records import Job, StoredFile
from restore.service.request_body import RequestBody
from restore.service.settings import Settings

CHUNK_BYTES = 300
PHOTOS = [b"", b"a", bytes(range(256)) * 4, b"\xff" * CHUNK_BYTES]
URL = "https://example.org/a.jpg"
OWNER = "owner"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileStore:
    monkeypatch.setattr(request_body, "CHUNK_BYTES", CHUNK_BYTES)
    settings = Settings(data=tmp_path)
    return FileStore(database.connect(settings), settings)


def stored(files: FileStore) -> list[StoredFile]:
    return [
        files.save_bytes(photo, owner=OWNER, name="a b.png", content_type="image/png")
        for photo in PHOTOS
    ]


def job_with(files: FileStore, photos: list[StoredFile]) -> Job:
    names = [f"file:{photo.id}" for photo in photos]
    inputs = {"images": [URL, *names[1:]], "mask": names[0], "points": "[[1, 2]]", "scale": 2}
    return JobStore(files._engine).submit(new_job(OWNER, input=inputs))


def content(body: RequestBody) -> dict[str, object]:
    async def read() -> bytes:
        return b"".join([chunk async for chunk in body.chunks()])

    data = asyncio.run(read())
    assert len(data) == body.size
    inputs: dict[str, object] = json.loads(data)["input"]
    return inputs


def test_photos_stand_in_the_json_as_base64(files: FileStore) -> None:
    job = job_with(files, stored(files))
    body = request_body.request_body(job, files, shares_disk=False)
    uris = [f"data:image/png;base64,{base64.b64encode(photo).decode()}" for photo in PHOTOS]
    expected = {"images": [URL, *uris[1:]], "mask": uris[0], "points": "[[1, 2]]", "scale": 2}
    assert content(body) == expected


def test_job_without_stored_photos(files: FileStore) -> None:
    job = JobStore(files._engine).submit(new_job(input={"image": URL, "task": "upscale"}))
    for shares_disk in (True, False):
        body = request_body.request_body(job, files, shares_disk=shares_disk)
        assert content(body) == {"image": URL, "task": "upscale"}


def test_photos_above_the_limit_of_cog_are_refused_or_get_urls(
    files: FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "MAX_BODY_BYTES", 1000)
    photos = stored(files)
    job = job_with(files, photos)
    with pytest.raises(RestoreError, match="MiB together") as caught:
        request_body.request_body(job, files, shares_disk=False)
    assert caught.value.code is Code.PHOTO_TOO_LARGE
    past = datetime.now(UTC) - timedelta(hours=5)
    with database.write(files._engine) as connection:  # the job has waited for a long time
        connection.execute(update(tables.files).values(expires_at=past))
    public = "https://photos.example.org/"
    inputs = content(request_body.request_body(job, files, shares_disk=False, public_url=public))
    assert isinstance(inputs["mask"], str)
    parts = urlsplit(inputs["mask"])
    assert parts.netloc == "photos.example.org"
    _, version, folder, file_id, token, name = parts.path.split("/")
    assert (version, folder, file_id, name) == ("v1", "files", photos[0].id, "a%20b.png")
    assert files.check_token(file_id, token)


def test_photo_that_was_removed_is_reported(files: FileStore) -> None:
    photos = stored(files)
    job = job_with(files, photos)
    body = request_body.request_body(job, files, shares_disk=False)
    files.path(photos[1]).unlink()
    with pytest.raises(RestoreError, match="has been removed"):
        content(body)
    with pytest.raises(RestoreError, match="has been removed"):
        request_body.request_body(job, files, shares_disk=False)
    JobStore(files._engine).cancel(job.id)
    files.delete(photos[1].id)
    with pytest.raises(RestoreError, match="has been removed"):
        request_body.request_body(job, files, shares_disk=True)
