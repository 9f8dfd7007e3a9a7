"""Waiting for the end of a job, and the headers of a request that say how long.

A job whose client waits is submitted without waiting for the disk, which has to have it only when
the client is told that it was accepted. Most small jobs have ended before: their end brings
everything to the disk.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.datastructures import Headers

from restore.errors import Code, RestoreError
from restore.service.api.submit import keep
from restore.service.changes import wait_for
from restore.service.records import Job

if TYPE_CHECKING:
    from restore.service.service import Service

MAX_WAIT_S = 60
MIN_CANCEL_AFTER_S = 5
MAX_CANCEL_AFTER = timedelta(days=30)

KEEP_AFTER_S = 0.25
"""Time after which a job that has not ended is brought to the disk."""

_WAIT = re.compile(r"wait(?:\s*=\s*\"?(\d+)\"?)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s?)?", re.IGNORECASE)


async def wait_for_end(service: Service, job: Job, timeout_s: float) -> Job:
    """Wait for the end of a job that was submitted a moment ago, without `durable`.

    Returns:
        The job, which is on the disk; it has not ended if the time is over.

    Raises:
        RestoreError: DISK_QUOTA if the disk fails.
    """
    first_s = min(timeout_s, KEEP_AFTER_S)
    found = await wait_for(service.jobs, service.changes, job.id, _has_ended, first_s, known=job)
    if found is None or found.status.is_final:
        return found or job
    await asyncio.to_thread(keep, service, job)
    rest_s = timeout_s - first_s
    found = await wait_for(service.jobs, service.changes, job.id, _has_ended, rest_s)
    return found or job


def preferred_wait_s(headers: Headers) -> int | None:
    """Return the seconds that a client wants to wait for the end of its job (RFC 7240).

    `Prefer: wait` means MAX_WAIT_S; `wait=N` is limited to 1 to MAX_WAIT_S. What is not understood,
    such as `wait=abc`, is ignored, as the RFC demands: it forbids an error. The response of an
    applied preference has the header Preference-Applied, so that its absence is the hint.

    Returns:
        None without such a preference.
    """
    for preference in ",".join(headers.getlist("prefer")).split(","):
        if found := _WAIT.fullmatch(preference.partition(";")[0].strip()):
            seconds = (found[1] or str(MAX_WAIT_S)).lstrip("0")[:3] or "0"  # of any length
            return min(max(int(seconds), 1), MAX_WAIT_S)
    return None


def cancel_after(headers: Headers) -> timedelta | None:
    """Return the time after which a job has to be cancelled, such as `90`, `30s` or `1h30m`.

    Raises:
        RestoreError: REQUEST_INVALID for another text, and for less than MIN_CANCEL_AFTER_S.
    """
    text = headers.get("cancel-after", "").strip()
    if not text:
        return None
    found = _DURATION.fullmatch(text)
    duration = timedelta()
    if found:
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        duration = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if timedelta(seconds=MIN_CANCEL_AFTER_S) <= duration <= MAX_CANCEL_AFTER:
        return duration
    raise RestoreError(
        Code.REQUEST_INVALID,
        f"the header Cancel-After is '{text[:40]}'",
        f"Use a duration from {MIN_CANCEL_AFTER_S}s to {MAX_CANCEL_AFTER.days * 24}h, such as 90s,"
        " 5m or 1h30m.",
    )


def _has_ended(job: Job) -> bool:
    return job.status.is_final
