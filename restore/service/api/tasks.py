"""One route for each task: a photo in, the restored photo out.

One result is sent as it is, several as a ZIP file. A client that asks for JSON gets the prediction
with the URLs of its results. If the job takes longer than `wait`, the response is the prediction
with status 202, and the job goes on; if the client leaves before, the job is cancelled.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from restore.errors import Code
from restore.options import INSPECT_TASK, TASKS
from restore.service.api.errors import PROBLEMS, STATUS_OF_CODE
from restore.service.api.prediction import prediction_json
from restore.service.api.results import results_response
from restore.service.api.task_docs import SUMMARIES, request_docs
from restore.service.api.task_inputs import submit_task
from restore.service.api.urls import base_url
from restore.service.api.wait import wait_for_end
from restore.service.auth import owner_of
from restore.service.http_errors import HttpError
from restore.service.records import Job, Status

if TYPE_CHECKING:
    from restore.service.service import Service

Owner = Annotated[str, Depends(owner_of)]
router = APIRouter(tags=["tasks"])

_MESSAGE = re.compile(r"\[(E\d{3})\] (.*)\. (.*)", re.DOTALL)
_IMAGE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The restored photo, or a ZIP file of several.",
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    202: {"description": "The job takes longer than `wait`: the prediction, to be polled."},
    **PROBLEMS,
}


def _route(task: str) -> Callable[[Request, str], Coroutine[Any, Any, Response]]:
    async def run_task(request: Request, key_owner: Owner) -> Response:
        return await _run(request, key_owner, task)

    return run_task


# POST /enhance is in enhance.py: it is asynchronous, as in the services that have this route.
for _task in TASKS:
    if _task != "enhance":
        router.add_api_route(
            f"/{_task.replace('_', '-')}",
            _route(_task),
            methods=["POST"],
            name=_task,
            summary=SUMMARIES[_task],
            responses=_IMAGE,
            response_class=Response,
            openapi_extra=request_docs(_task),
        )


async def _run(request: Request, owner: str, task: str) -> Response:
    submitted = await submit_task(request, owner, task, durable=False)
    job = await _wait_while_connected(request, submitted.job, submitted.wait_s)
    # The result of `inspect` is JSON itself.
    wants_json = task != INSPECT_TASK and "application/json" in request.headers.get("accept", "")
    if not job.status.is_final or (wants_json and job.status is Status.SUCCEEDED):
        return await _prediction(request, job)
    if job.status is not Status.SUCCEEDED:
        raise failure(job)
    return await asyncio.to_thread(results_response, request, job)


async def _wait_while_connected(request: Request, job: Job, timeout_s: float) -> Job:
    """Wait for the end of a job; cancel it if the client leaves.

    Returns:
        The job, which has not ended if the time is over.

    Raises:
        ClientDisconnect: the client has left.
    """
    service: Service = request.app.state.service
    waiting = asyncio.create_task(wait_for_end(service, job, timeout_s))
    leaving = asyncio.create_task(_disconnect(request))
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
        await asyncio.to_thread(service.jobs.cancel, job.id, job.owner)
        raise ClientDisconnect
    finally:
        waiting.cancel()
        leaving.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _prediction(request: Request, job: Job) -> JSONResponse:
    service: Service = request.app.state.service
    base = base_url(request)

    def content() -> dict[str, Any]:
        position = service.jobs.queue_position(job)
        return prediction_json(job, base, service.files, queue_position=position)

    prediction = await asyncio.to_thread(content)
    headers = {"x-job-id": job.id}
    if job.status.is_final:
        return JSONResponse(prediction, headers=headers)
    headers |= {"location": prediction["urls"]["get"], "retry-after": "1"}
    return JSONResponse(prediction, 202, headers)


def failure(job: Job) -> HttpError:
    """Return the error of a job that has failed or was cancelled, with its status."""
    if job.status is Status.CANCELED:
        return HttpError(
            409, Code.REQUEST_INVALID, f"the job '{job.id}' was cancelled", "Send it again."
        )
    found = _MESSAGE.fullmatch(job.error or "")
    if not found or found[1] not in set(Code):
        return HttpError(500, Code.UNEXPECTED, str(job.error).rstrip("."), "See the server's log.")
    code = Code(found[1])
    # E1xx to E3xx are about the request, the others about the service.
    default = 422 if code < "E4" else 500
    return HttpError(STATUS_OF_CODE.get(code, default), code, found[2], found[3])
