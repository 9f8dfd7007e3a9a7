"""GET /health: whether the service can work, for people and for the checks of containers."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from sqlalchemy.exc import DBAPIError
from starlette.responses import JSONResponse

from restore.errors import RestoreError
from restore.service.auth import has_access
from restore.service.records import Status
from restore.service.worker_state import WorkerState, WorkerStatus
from restore.version import __version__

if TYPE_CHECKING:
    from restore.service.service import Service

State = Literal["ok", "starting", "degraded"]
REASONS: Mapping[State, str] = {
    "starting": "no worker can work yet: the first one loads its networks",
    "degraded": "no worker can work",
}
"""Why jobs wait, by what the workers can do."""

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

    `status` is `ok` if the service accepts photos and a worker can work, `starting` while the first
    worker loads its networks, and else `degraded`; `reasons` says why it is not `ok`. Without a
    valid API key, if the service has any, only `status` is shown. The HTTP status is 200, so that
    results are delivered also while the disk is full; it is 503 if the database does not answer.
    """
    service: Service = request.app.state.service
    workers = service.workers.list()
    try:
        details, refusal = await asyncio.to_thread(_details, service)
    except (DBAPIError, OSError):
        return JSONResponse({"status": "unavailable"}, 503)
    content: dict[str, Any] = {"status": "degraded" if refusal else state_of(workers)}
    if shows_all:
        content["reasons"] = list(_reasons(state_of(workers), refusal))
        content |= details | {"workers": [_worker(worker) for worker in workers]}
    return JSONResponse(content, headers={"cache-control": "no-store"})


def state_of(workers: Sequence[WorkerState]) -> State:
    """Return what the workers can do; a gateway without workers serves those of others."""
    statuses = {worker.status for worker in workers}
    if not workers or statuses & {WorkerStatus.READY, WorkerStatus.BUSY}:
        return "ok"
    return "starting" if WorkerStatus.STARTING in statuses else "degraded"


def _reasons(workers: State, refusal: RestoreError | None) -> Iterator[str]:
    """Yield why the service is not `ok`."""
    if refusal is not None:
        yield f"uploads are refused: {refusal.reason}"
    if workers != "ok":
        yield REASONS[workers]


def _details(service: Service) -> tuple[dict[str, Any], RestoreError | None]:
    """Return everything but the workers, and the error that uploads get now. Blocks."""
    counts = service.jobs.counts()
    disk = shutil.disk_usage(service.settings.data)
    stored_bytes = service.files.total_bytes()
    details = {
        "version": __version__,
        "queue_length": counts[Status.STARTING],
        "jobs": {status.value: count for status, count in counts.items()},
        "models": service.models.json(),
        "disk": {
            "free_bytes": disk.free,
            "total_bytes": disk.total,
            "stored_bytes": stored_bytes,
            "quota_bytes": service.files.quota.limit_bytes,
        },
    }
    return details, service.files.upload_refusal(stored_bytes)


def _worker(worker: WorkerState) -> dict[str, Any]:
    """Return a worker without its job and its address, which are nothing for other keys."""
    return {
        "name": worker.name,
        "status": worker.status.value,
        "restarts": worker.restarts,
        "since": worker.since.isoformat(),
        "reason": worker.reason,
    }
