"""The state machine of a job, as pure functions from a job to the changed job.

    starting --claim--> processing --succeed, fail, cancelled--> final
        |  ^                |
        |  +----release-----+ (the worker or its gateway was lost)
        +--cancel--> canceled

A function returns None if the job must not change. A worker names the attempt for which it got the
job; a result of an earlier attempt changes nothing, so each job ends exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from restore.errors import Code, RestoreError
from restore.service.records import MAX_ATTEMPTS, MAX_FAILURES, Job, Status

MAX_LOG_CHARACTERS = 65_536
CUT = "[...]\n"


def claim(job: Job, *, worker: str, gateway: str, now: datetime, lease_until: datetime) -> Job:
    """Give a waiting job to a worker."""
    return replace(
        job,
        status=Status.PROCESSING,
        attempt=job.attempt + 1,
        worker=worker,
        gateway=gateway,
        lease_until=lease_until,
        started_at=now,
    )


def holds(job: Job, attempt: int) -> bool:
    """Return whether the worker of an attempt still has the job."""
    return job.status is Status.PROCESSING and job.attempt == attempt


def renew(job: Job, attempt: int, *, lease_until: datetime) -> Job | None:
    """Extend a claim."""
    return replace(job, lease_until=lease_until) if holds(job, attempt) else None


def add_logs(job: Job, attempt: int, text: str) -> Job | None:
    """Append to the logs of a running job."""
    return replace(job, logs=limited_logs(job.logs + text)) if holds(job, attempt) else None


def succeed(
    job: Job,
    attempt: int,
    *,
    output: Sequence[str],
    reports: Sequence[Mapping[str, Any]],
    predict_s: float | None,
    logs: str | None,
    now: datetime,
) -> Job | None:
    """End a running job with its results."""
    if not holds(job, attempt):
        return None
    ended = _end(job, Status.SUCCEEDED, now, logs=logs)
    return replace(ended, output=tuple(output), reports=tuple(reports), predict_s=predict_s)


def fail(
    job: Job, attempt: int, error: str, *, predict_s: float | None, logs: str | None, now: datetime
) -> Job | None:
    """End a running job with an error."""
    if not holds(job, attempt):
        return None
    ended = _end(job, Status.FAILED, now, logs=logs)
    return replace(ended, error=storable(error), predict_s=predict_s)


def cancelled(job: Job, attempt: int, *, logs: str | None, now: datetime) -> Job | None:
    """End a running job whose worker has stopped because of a cancellation."""
    return _end(job, Status.CANCELED, now, logs=logs) if holds(job, attempt) else None


def request_cancel(job: Job, *, now: datetime) -> Job | None:
    """Cancel a waiting job, or ask the worker of a running one to stop."""
    if job.status is Status.STARTING:
        return _end(job, Status.CANCELED, now)
    if job.status is Status.PROCESSING and not job.cancel_requested:
        return replace(job, cancel_requested=True)
    return None


def release(job: Job, attempt: int, *, worker_died: bool, error: str, now: datetime) -> Job | None:
    """Return a running job to the queue, unless it was cancelled or was lost too often.

    Args:
        worker_died: whether the attempt ended with the worker, which the job may have caused.
        error: why the attempt ended, without a full stop.
    """
    if not holds(job, attempt):
        return None
    job = replace(job, failures=job.failures + worker_died)
    if job.cancel_requested:
        return _end(job, Status.CANCELED, now)
    if job.failures > MAX_FAILURES or job.attempt >= MAX_ATTEMPTS:
        lost = RestoreError(
            Code.WORKER_LOST,
            f"{job.attempt} attempts to run this job ended with its worker, the last one because "
            f"{error}",
            "Try a smaller photo or fewer steps; the log of the service has the details.",
        )
        return replace(_end(job, Status.FAILED, now), error=storable(str(lost)))
    return replace(
        job,
        status=Status.STARTING,
        started_at=None,
        lease_until=None,
        worker=None,
        gateway=None,
        logs=limited_logs(f"{job.logs}Attempt {attempt} was lost: {error}. Trying again.\n"),
    )


def remove_data(job: Job) -> Job | None:
    """Forget input and output of a job that has ended."""
    if not job.status.is_final or job.removed:
        return None
    return replace(job, removed=True, input={}, filenames=(), output=None, reports=None, logs="")


def events(before: Job, after: Job) -> tuple[str, ...]:
    """Return the webhook events of a change, in the order in which they are sent."""
    found: list[str] = []
    if after.webhook is None:
        return ()
    if after.status is Status.PROCESSING and before.status is Status.STARTING:
        found += ["start"] if after.attempt == 1 else []
    if after.logs != before.logs and not after.status.is_final:
        found += ["logs"]
    if after.status.is_final and not before.status.is_final:
        found += ["output"] if after.output is not None else []
        found += ["completed"]
    return tuple(name for name in found if name in after.webhook_events)


def limited_logs(text: str) -> str:
    """Return the end of the logs if they are too long."""
    text = storable(text)
    if len(text) <= MAX_LOG_CHARACTERS:
        return text
    tail = text[len(CUT) - MAX_LOG_CHARACTERS :]
    _, newline, complete_lines = tail.partition("\n")
    return CUT + (complete_lines if newline else tail)


def storable(text: str) -> str:
    """Return a text without what PostgreSQL cannot store: NUL and lone surrogates."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _end(job: Job, status: Status, now: datetime, *, logs: str | None = None) -> Job:
    return replace(
        job,
        status=status,
        completed_at=now,
        lease_until=None,
        logs=job.logs if logs is None else limited_logs(logs),
    )
