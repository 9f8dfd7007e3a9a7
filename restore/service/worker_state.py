"""What is known about a worker, for the dispatcher, /health and /metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class WorkerStatus(StrEnum):
    """What a worker does."""

    STARTING = "starting"
    """It loads its networks."""
    READY = "ready"
    BUSY = "busy"
    """It works on a job of this service, or of somebody else."""
    FAILED = "failed"
    """It answers, but cannot work: its setup failed."""
    UNREACHABLE = "unreachable"
    """It does not answer."""


@dataclass(frozen=True)
class WorkerState:
    """A worker at one time.

    Attributes:
        name: as in Job.worker.
        url: address of its server; None while a local server is not running.
        status: see WorkerStatus.
        job_id: the job of this gateway that it works on, or None.
        restarts: how often it was started again.
        since: time at which the status began, in UTC.
        reason: why it is not ready, or "".
    """

    name: str
    url: str | None
    status: WorkerStatus
    job_id: str | None
    restarts: int
    since: datetime
    reason: str
