"""GET /health: whether the service can work, for people and for the checks of containers."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from sqlalchemy.exc import DBAPIError
from starlette.responses import JSONResponse

from restore.service.auth import has_access
from restore.service.records import Status
from restore.service.worker_state import WorkerState, WorkerStatus
from restore.version import __version__

if TYPE_CHECKING:
    from restore.service.service import Service

State = Literal["ok", "starting", "degraded"]

MODELS_TTL_S = 60.0
"""Time for which the list of weights is kept: it takes some disk accesses."""

router = APIRouter(tags=["service"])


class Models:
    """The weights on this machine, which its own workers use.

    Args:
        weights: RESTORE_WEIGHTS of these workers, or None for their default.
    """

    def __init__(self, weights: str | None) -> None:
        self._weights = weights
        self._known: dict[str, Any] = {}
        self._read_s = -MODELS_TTL_S

    def json(self) -> dict[str, Any]:
        """Return the ids of all checkpoints by their state. Blocks."""
        if time.monotonic() - self._read_s >= MODELS_TTL_S:
            self._known, self._read_s = (
                {"weights": self._weights, **_checkpoints()},
                time.monotonic(),
            )
        return self._known


def _checkpoints() -> dict[str, list[str]]:
    from restore.models.catalog import Catalog  # noqa: PLC0415 - takes a while
    from restore.models.store import WeightStore  # noqa: PLC0415

    store = WeightStore(Catalog.load(), offline=True)
    states: dict[str, list[str]] = {}
    for row in store.catalog.rows:
        states.setdefault(str(store.status(row)), []).append(row.id)
    return states


@router.get("/health")
async def health(request: Request, shows_all: Annotated[bool, Depends(has_access)]) -> JSONResponse:
    """Return the state of the service, its queue, workers, models and disk.

    `status` is `ok` if a worker can work, `starting` while the first one loads its networks, and
    `degraded` if none can. It is all that is shown without a valid API key, if the service has any.
    If the database does not answer, the status is 503.
    """
    service: Service = request.app.state.service
    workers = service.workers.list()
    content: dict[str, Any] = {"status": state_of(workers)}
    try:
        details = await asyncio.to_thread(_details, service)
    except (DBAPIError, OSError):
        return JSONResponse({"status": "unavailable"}, 503)
    if shows_all:
        content |= details | {"workers": [_worker(worker) for worker in workers]}
    return JSONResponse(content, headers={"cache-control": "no-store"})


def state_of(workers: Sequence[WorkerState]) -> State:
    """Return what the workers can do; a gateway without workers serves those of others."""
    statuses = {worker.status for worker in workers}
    if not workers or statuses & {WorkerStatus.READY, WorkerStatus.BUSY}:
        return "ok"
    return "starting" if WorkerStatus.STARTING in statuses else "degraded"


def _details(service: Service) -> dict[str, Any]:
    counts = service.jobs.counts()
    disk = shutil.disk_usage(service.settings.data)
    return {
        "version": __version__,
        "queue_length": counts[Status.STARTING],
        "jobs": {status.value: count for status, count in counts.items()},
        "models": service.models.json(),
        "disk": {
            "free_bytes": disk.free,
            "total_bytes": disk.total,
            "stored_bytes": service.files.total_bytes(),
            "quota_bytes": service.files.quota.limit_bytes,
        },
    }


def _worker(worker: WorkerState) -> dict[str, Any]:
    """Return a worker without its job and its address, which are nothing for other keys."""
    return {
        "name": worker.name,
        "status": worker.status.value,
        "restarts": worker.restarts,
        "since": worker.since.isoformat(),
        "reason": worker.reason,
    }
