"""A job as the JSON of a prediction, with the fields of Replicate's API."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from restore.service.api.urls import download_url, file_url
from restore.service.job_files import PREFIX, file_ids
from restore.service.records import Job, Status, StoredFile

if TYPE_CHECKING:
    from restore.service.files import FileStore

MAX_INLINE_BYTES = 64 * 2**20
"""Results of one prediction that are larger than this are never sent as data URIs."""


def prediction_json(
    job: Job,
    base: str,
    files: FileStore,
    *,
    found: Mapping[str, StoredFile] | None = None,
    queue_position: int | None = None,
    inline: bool = False,
) -> dict[str, Any]:
    """Return the JSON of a prediction. Blocks: call it from a thread.

    Args:
        base: base of all URLs, as of `base_url` or `default_base_url`.
        files: the store of the inputs and outputs.
        found: those of its files that exist, as of `files_of`; None means to look for them.
        queue_position: number of jobs before this one; None if it is not known.
        inline: send the results as data URIs, not as URLs.
    """
    if found is None:
        found = files_of([job], files)
    urls = partial(_file_url, found, base, files)
    results = [found.get(file_id) for file_id in file_ids(job.output)]
    now = datetime.now(UTC)  # expired files are removed a little later
    stored = [each for each in results if each is not None and each.expires_at > now]
    removed = job.removed or len(stored) < len(results)
    output = None
    if job.output is not None and not removed:
        inline = inline and sum(each.size for each in stored) <= MAX_INLINE_BYTES
        output = [_data_uri(each, files) if inline else urls(each.id) for each in stored]
    prediction_url = f"{base}/v1/predictions/{job.id}"
    return {
        "id": job.id,
        "model": job.model,
        "version": job.version,
        "status": job.status.value,
        "input": {} if removed else _with_urls(job.input, urls),
        "output": output,
        "logs": job.logs,
        "error": job.error,
        "metrics": _metrics(job, queue_position),
        "created_at": timestamp(job.created_at),
        "started_at": timestamp(job.started_at),
        "completed_at": timestamp(job.completed_at),
        "urls": {
            "get": prediction_url,
            "cancel": f"{prediction_url}/cancel",
            "web": f"{base}/#{job.id}",
        },
        "data_removed": removed,
        "deadline": timestamp(job.deadline),
        "source": "api",
    }


def files_of(jobs: Sequence[Job], files: FileStore) -> dict[str, StoredFile]:
    """Return the stored inputs and outputs of jobs by their ids. Blocks."""
    wanted = [file_id for job in jobs for file_id in file_ids([job.input, job.output])]
    return files.get_many(wanted)


def recent_files_of(job: Job, files: FileStore) -> dict[str, StoredFile] | None:
    """Return the stored inputs and outputs of a job if all were recorded seconds ago."""
    return files.recent.get(file_ids([job.input, job.output]))


def timestamp(time: datetime | None) -> str | None:
    """Return a time in UTC as Replicate writes it, such as 2026-11-27T15:00:00.123456Z."""
    return None if time is None else time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _metrics(job: Job, queue_position: int | None) -> dict[str, Any]:
    total_s = None
    if job.completed_at is not None:
        total_s = round((job.completed_at - job.created_at).total_seconds(), 3)
    metrics = {
        "queue_position": queue_position if job.status is Status.STARTING else None,
        "predict_time": job.predict_s,
        "total_time": total_s,
        "worker": job.worker,
        "photos": job.reports,
    }
    return {name: value for name, value in metrics.items() if value is not None}


def _file_url(found: Mapping[str, StoredFile], base: str, files: FileStore, file_id: str) -> str:
    """Return the URL of the content of a file, or of its record if it does not exist."""
    stored = found.get(file_id)
    if stored is None:
        return file_url(base, file_id)
    return download_url(base, stored.id, files.url_token(stored), stored.name)


def _with_urls(value: Any, url_of: Callable[[str], str]) -> Any:  # noqa: ANN401 - any JSON
    """Replace each `file:ID` of an input by a URL of the file."""
    if isinstance(value, str) and value.startswith(PREFIX):
        return url_of(value.removeprefix(PREFIX))
    if isinstance(value, Mapping):
        return {name: _with_urls(item, url_of) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_with_urls(item, url_of) for item in value]
    return value


def _data_uri(stored: StoredFile, files: FileStore) -> str:
    encoded = base64.b64encode(files.read_bytes(stored)).decode()
    return f"data:{stored.content_type};base64,{encoded}"
