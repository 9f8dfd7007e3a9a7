"""The asynchronous form for users without a client: POST /enhance, then GET /status/{job_id}."""

from __future__ import annotations

import asyncio
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from restore.service.api.errors import NOT_FOUND, PROBLEMS, existing_job
from restore.service.api.task_docs import SUMMARIES, request_docs
from restore.service.api.task_inputs import submit_task
from restore.service.api.urls import base_url, download_url
from restore.service.auth import owner_of
from restore.service.job_files import file_ids
from restore.service.records import Job, Status

if TYPE_CHECKING:
    from restore.service.service import Service

NAMES = MappingProxyType(
    {
        Status.STARTING: "queued",
        Status.PROCESSING: "processing",
        Status.SUCCEEDED: "completed",
        Status.FAILED: "failed",
        Status.CANCELED: "canceled",
    }
)
"""The statuses of these routes, which are older than Replicate's names."""

Owner = Annotated[str, Depends(owner_of)]
router = APIRouter(tags=["tasks"])


class Queued(BaseModel):
    """A job that was put into the queue."""

    job_id: str
    status: str
    queue_position: int = Field(description="Number of jobs before this one.")


class Result(BaseModel):
    """One restored photo."""

    original_filename: str
    url: str = Field(description="Needs no key, and expires.")


class JobStatus(Queued):
    """The state of a job."""

    results: list[Result]
    error: str | None
    logs: str = Field(description="Progress is shown by lines such as ` 42%|####      | 5/12`.")


@router.post(
    "/enhance",
    status_code=202,
    response_model=Queued,
    responses=PROBLEMS,
    summary=SUMMARIES["enhance"],
    openapi_extra=request_docs("upscale", "files"),
)
async def enhance(request: Request, key_owner: Owner) -> dict[str, Any]:
    """Put a request for the task `upscale` into the queue.

    With `face_enhance`, faces are restored, too. All options of `upscale` are accepted.
    """
    service: Service = request.app.state.service
    job = (await submit_task(request, key_owner, "upscale")).job
    return await asyncio.to_thread(_queued, service, job)


@router.get("/status/{job_id}", response_model=JobStatus, responses=PROBLEMS | NOT_FOUND)
async def status(request: Request, key_owner: Owner, job_id: str) -> dict[str, Any]:
    """Return the state of a job of any route, and its results when it has ended."""
    service: Service = request.app.state.service
    job = existing_job(await asyncio.to_thread(service.jobs.get, job_id, key_owner), job_id)
    base = base_url(request)
    return await asyncio.to_thread(
        lambda: {
            **_queued(service, job),
            "results": _results(service, job, base),
            "error": job.error,
            "logs": job.logs,
        }
    )


def _queued(service: Service, job: Job) -> dict[str, Any]:
    position = service.jobs.queue_position(job)
    return {"job_id": job.id, "status": NAMES[job.status], "queue_position": position}


def _results(service: Service, job: Job, base: str) -> list[dict[str, str]]:
    """Return the results that are still there; with `return_mask`, the masks follow the photos."""
    results = []
    for index, file_id in enumerate(file_ids(job.output)):
        stored = service.files.get(file_id)
        if stored is not None:
            names = job.filenames or ("",)
            url = download_url(base, stored.id, service.files.url_token(stored), stored.name)
            results.append({"original_filename": names[index % len(names)], "url": url})
    return results
