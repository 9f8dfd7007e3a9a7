"""The records of the service, independent of the database that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The statuses of a job, with the names of Replicate's API."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        """Whether a job with this status never changes again."""
        return self in FINAL


FINAL = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELED})

MAX_FAILURES = 2
"""A job whose worker ended more often fails."""
MAX_ATTEMPTS = 20
"""A job that was taken so often without an end fails, whatever the reason was."""


class Renewal(StrEnum):
    """The answer to a worker that renews its claim on a job."""

    KEEP = "keep"
    CANCEL = "cancel"
    """The claim is renewed, but the job has to be cancelled."""
    LOST = "lost"
    """The job has ended or belongs to another worker: its result does not count any more."""


@dataclass(frozen=True)
class NewJob:
    """A validated request that becomes a job.

    Attributes:
        id: unguessable id of the job, as of `new_id`.
        owner: id of the API key that may see the job; "" if the service needs no key.
        model: `owner/name` that the request named, as it is shown in responses.
        version: version that is shown in responses.
        input: the inputs of predict.py; a photo is `file:ID` of a stored file, or an http(s) URL.
        filenames: names that the user gave the photos, in order, "" where there is none.
        webhook: URL that is called on events, or None.
        webhook_events: names of these events: start, output, logs, completed.
        deadline: time after which the job is cancelled, or None.
    """

    id: str
    owner: str
    model: str
    version: str
    input: Mapping[str, Any]
    filenames: tuple[str, ...] = ()
    webhook: str | None = None
    webhook_events: tuple[str, ...] = ("start", "output", "logs", "completed")
    deadline: datetime | None = None


@dataclass(frozen=True)
class Job(NewJob):
    """A job as it is stored. All times are in UTC, with their zone.

    Attributes:
        status: see Status.
        cancel_requested: whether a running job has to be cancelled.
        output: `file:ID` of each result, in the order of the photos, or None.
        reports: the report of each photo, or None.
        logs: log lines, with progress as tqdm-style lines.
        error: message of the failure with its code, or None.
        attempt: number of times that a worker has taken the job.
        failures: number of attempts that ended with the worker, at most MAX_FAILURES.
        worker: name of the worker that has the job or had it last, or None.
        gateway: id of the gateway of that worker, or None.
        lease_until: time until which that worker has the job, or None.
        created_at, started_at, completed_at: times; None if not reached.
        predict_s: seconds of the worker for the attempt that finished, or None.
        removed: whether input and output have been removed.
    """

    status: Status = Status.STARTING
    cancel_requested: bool = False
    output: tuple[str, ...] | None = None
    reports: tuple[Mapping[str, Any], ...] | None = None
    logs: str = ""
    error: str | None = None
    attempt: int = 0
    failures: int = 0
    worker: str | None = None
    gateway: str | None = None
    lease_until: datetime | None = None
    created_at: datetime = field(kw_only=True)
    started_at: datetime | None = None
    completed_at: datetime | None = None
    predict_s: float | None = None
    removed: bool = False


@dataclass(frozen=True)
class Page:
    """A part of a list of jobs, newest first.

    Attributes:
        next: cursor of the page with older jobs, or None.
        previous: cursor of the page with newer jobs, or None.
    """

    jobs: tuple[Job, ...]
    next: str | None
    previous: str | None


@dataclass(frozen=True)
class StoredFile:
    """An upload or a result in the data directory.

    Attributes:
        id: unguessable id.
        owner: as in NewJob.
        job_id: the job that made the file, or None for an upload.
        name: the name that the user gave, or a generated one; never used as a path.
        content_type: media type.
        size: bytes.
        sha256: checksum in hexadecimal.
        created_at, expires_at: in UTC; a file is kept while its job runs.
    """

    id: str
    owner: str
    job_id: str | None
    name: str
    content_type: str
    size: int
    sha256: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class ApiKey:
    """A key, without its secret.

    Attributes:
        id: public part of the key.
        name: the name that the operator gave.
        requests_per_minute, waiting_jobs, stored_bytes: limits; None means the service's default.
        revoked_at: None while the key is valid.
    """

    id: str
    name: str
    created_at: datetime
    requests_per_minute: int | None = None
    waiting_jobs: int | None = None
    stored_bytes: int | None = None
    revoked_at: datetime | None = None
