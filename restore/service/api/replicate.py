"""Replicate's routes for predictions."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.responses import JSONResponse

from restore.service.api import schemas
from restore.service.api.direct_route import DirectRoute
from restore.service.api.errors import NOT_FOUND, PROBLEMS, existing_job
from restore.service.api.json_body import json_body
from restore.service.api.models import check_model, check_version
from restore.service.api.prediction import files_of, prediction_json, recent_files_of
from restore.service.api.prediction_docs import CREATE, CREATED
from restore.service.api.submit import submit
from restore.service.api.urls import base_url
from restore.service.api.wait import cancel_after, preferred_wait_s, wait_for_end
from restore.service.auth import owner_of
from restore.service.records import Job, Status

if TYPE_CHECKING:
    from restore.service.service import Service

PAGE_SIZE = 100

_NEEDS_DATA_URIS = re.compile(r"replicate-(python|javascript)/", re.IGNORECASE)
"""The clients that make no FileOutput of a plain http URL. Those of version 2 name themselves
otherwise, and their `use` needs URLs."""
router = APIRouter(prefix="/v1", tags=["predictions"], route_class=DirectRoute)
pages = APIRouter()
Owner = Annotated[str, Depends(owner_of)]


@router.post("/predictions", status_code=201, openapi_extra=CREATE, responses=CREATED)
async def create_prediction(request: Request, key_owner: Owner) -> JSONResponse:
    """Create a prediction: put a request into the queue."""
    return await _create(request, key_owner)


@router.post(
    "/models/{owner}/{name}/predictions",
    status_code=201,
    openapi_extra=CREATE,
    responses=CREATED | NOT_FOUND,
)
async def create_prediction_of_model(
    request: Request, key_owner: Owner, owner: str, name: str
) -> JSONResponse:
    """Create a prediction with the current version of the model; as POST /v1/predictions."""
    check_model(request.app.state.service, owner, name)
    return await _create(request, key_owner)


@pages.get("/predictions", response_model=schemas.Page[schemas.Prediction], responses=PROBLEMS)
async def list_predictions(
    request: Request, key_owner: Owner, cursor: Annotated[str | None, Query(max_length=100)] = None
) -> JSONResponse:
    """List the predictions of the API key, newest first, 100 on a page."""
    service: Service = request.app.state.service
    page = await asyncio.to_thread(service.jobs.list, key_owner, limit=PAGE_SIZE, cursor=cursor)
    base = base_url(request)

    def page_url(cursor: str | None) -> str | None:
        return cursor and f"{base}/v1/predictions?cursor={cursor}"

    def response() -> JSONResponse:
        found = files_of(page.jobs, service.files)
        results = [prediction_json(job, base, service.files, found=found) for job in page.jobs]
        previous_url, next_url = page_url(page.previous), page_url(page.next)
        return JSONResponse({"previous": previous_url, "next": next_url, "results": results})

    return await asyncio.to_thread(response)


@router.get(
    "/predictions/{prediction_id}",
    response_model=schemas.Prediction,
    responses=PROBLEMS | NOT_FOUND,
)
async def get_prediction(request: Request, key_owner: Owner, prediction_id: str) -> JSONResponse:
    """Return a prediction."""
    service: Service = request.app.state.service

    def find() -> Job:
        return existing_job(service.jobs.get(prediction_id, key_owner), prediction_id)

    return await _response(request, find)


@router.post(
    "/predictions/{prediction_id}/cancel",
    response_model=schemas.Prediction,
    responses=PROBLEMS | NOT_FOUND,
)
async def cancel_prediction(request: Request, key_owner: Owner, prediction_id: str) -> JSONResponse:
    """Cancel a prediction: at once if it waits, after at most a tile or a face if it runs."""
    service: Service = request.app.state.service

    def cancel() -> Job:
        return existing_job(service.jobs.cancel(prediction_id, key_owner), prediction_id)

    return await _response(request, cancel)


async def _create(request: Request, owner: str) -> JSONResponse:
    service: Service = request.app.state.service
    wait_s = preferred_wait_s(request.headers)
    lifetime = cancel_after(request.headers)
    loop = asyncio.get_running_loop()
    async with json_body(request) as body:
        end_s = loop.time() + (wait_s or 0)  # a client counts from the end of its request
        asked = _prediction_request(body)
        if asked.version:
            check_version(service, asked.version)
        job = await submit(
            service,
            asked.input,
            owner=owner,
            webhook=asked.hook(),
            deadline=datetime.now(UTC) + lifetime if lifetime else None,
            durable=wait_s is None,
        )
    if wait_s is None:
        return await _response(request, lambda: job, 201)
    timeout_s = max(0.0, end_s - loop.time())
    waited = await wait_for_end(service, job, timeout_s)
    return await _response(request, lambda: waited, waited_s=wait_s)


def _prediction_request(body: dict[str, Any]) -> schemas.PredictionRequest:
    try:
        return schemas.PredictionRequest.model_validate(body)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        for detail in details:
            detail["loc"] = ("body", *detail["loc"])
        raise RequestValidationError(details) from error


async def _response(
    request: Request, find: Callable[[], Job], status: int = 200, *, waited_s: int | None = None
) -> JSONResponse:
    """Return the JSON of a prediction.

    Args:
        find: returns the job; it may block.
        waited_s: the preference that was applied. A job that has not ended is then shown as
            `starting`, because clients take every other status for the end.
    """
    service: Service = request.app.state.service
    base = base_url(request)
    inline = base.startswith("http:") and _NEEDS_DATA_URIS.match(
        request.headers.get("user-agent", "")
    )

    def response() -> JSONResponse:
        # In a thread from reading the results to encoding them: they may be large.
        job = find()
        position = service.jobs.queue_position(job) if job.status is Status.STARTING else None
        prediction = prediction_json(
            job,
            base,
            service.files,
            found=recent_files_of(job, service.files) if waited_s is not None else None,
            queue_position=position,
            inline=bool(inline),
        )
        if waited_s is None:
            return JSONResponse(prediction, status)
        headers = {"preference-applied": f"wait={waited_s}"}
        if job.status.is_final:
            return JSONResponse(prediction, 201, headers)
        return JSONResponse(prediction | {"status": Status.STARTING.value}, 202, headers)

    if not inline:
        return await asyncio.to_thread(response)
    async with service.large_bodies:
        return await asyncio.to_thread(response)


router.include_router(pages)
