"""Errors as problem details: JSON with the members title, detail and status.

`detail` is the message of the error, which starts with its code.
"""

from __future__ import annotations

import logging
import reprlib
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from restore.errors import Code, RestoreError, unexpected
from restore.service import database
from restore.service.api.schemas import Problem
from restore.service.file_writer import disk_full
from restore.service.http_errors import CLOSE, HttpError
from restore.service.records import Job
from restore.serving.request_body import MAX_SHOWN_CHARACTERS, Refusal

log = logging.getLogger("restore.service.api")

MEDIA_TYPE = "application/problem+json"

STATUS_OF_CODE: Mapping[Code, int] = MappingProxyType(
    {
        Code.PHOTO_TOO_LARGE: 413,
        Code.SERVER: 503,
        Code.UNEXPECTED: 500,
        Code.UNAUTHORIZED: 401,
        Code.JOB_MISSING: 404,
        Code.QUEUE_FULL: 429,
        Code.RATE_LIMIT: 429,
        Code.DISK_QUOTA: 507,
    }
)
"""HTTP statuses by code. All other codes are about the request: 422."""


def _problem_docs(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": _PROBLEM_SCHEMA}}}


_PROBLEM_SCHEMA = Problem.model_json_schema()
PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: _problem_docs("The API key is missing or wrong."),
    413: _problem_docs("The request or a photo is too large."),
    422: _problem_docs("The request is not valid."),
    429: _problem_docs("Too many requests or waiting jobs; the header Retry-After says how long."),
    503: _problem_docs("The service cannot answer now; the header Retry-After says how long."),
    507: _problem_docs("The stored photos take too much space."),
}
"""The errors of most routes, for OpenAPI."""
NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: _problem_docs("It does not exist, or belongs to another API key.")
}

MAX_SHOWN_ID_CHARACTERS = 40

RETRY_AFTER_S = 10
"""The header Retry-After of a full queue, which has no better estimate."""


def problem(
    status: int, detail: str, headers: Mapping[str, str] = MappingProxyType({})
) -> JSONResponse:
    """Build the response of an error."""
    content = {"title": HTTPStatus(status).phrase, "detail": detail, "status": status}
    return JSONResponse(content, status, dict(headers), media_type=MEDIA_TYPE)


def existing_job(job: Job | None, job_id: str) -> Job:
    """Return a job that was looked for.

    Raises:
        RestoreError: JOB_MISSING without one.
    """
    if job is None:
        raise RestoreError(
            Code.JOB_MISSING,
            f"there is no job '{job_id[:MAX_SHOWN_ID_CHARACTERS]}'",
            "Check its id. It may have been removed, or it belongs to another API key.",
        )
    return job


def add_handlers(app: FastAPI) -> None:
    """Let an application answer all errors as problem details."""
    app.add_exception_handler(RestoreError, _on_restore_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(Refusal, _on_refused_body)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(DBAPIError, _on_lost_database)
    app.add_exception_handler(Exception, _on_unexpected)


async def _on_restore_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HttpError):
        return problem(error.status, str(error), error.headers)
    assert isinstance(error, RestoreError)
    status = STATUS_OF_CODE.get(error.code, 422)
    headers = {"retry-after": str(RETRY_AFTER_S)} if status in {429, 503} else {}
    return problem(status, str(error), headers)


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """Answer for what the framework refuses: unknown paths (404) and methods (405)."""
    assert isinstance(error, HTTPException)
    path = request.scope["path"][: 2 * MAX_SHOWN_CHARACTERS]
    headers = error.headers or {}
    reason, remedy = f"{request.method} {path}: {error.detail}", "See /docs for all routes."
    if error.status_code == HTTPStatus.NOT_FOUND:
        reason = f"there is no route {request.method} {path}"
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (allowed := headers.get("Allow")):
        reason, remedy = f"{path} takes no {request.method}", f"Use {allowed}."
    described = RestoreError(Code.REQUEST_INVALID, reason, remedy)
    return problem(error.status_code, str(described), headers)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    # The input of a missing field is all of the request.
    value = "" if first["type"] == "missing" else f" is {reprlib.repr(first['input'])}"
    described = RestoreError(
        Code.REQUEST_INVALID,
        f"{name[: 2 * MAX_SHOWN_CHARACTERS]}{value}: {first['msg']}",
        "See /docs for the fields of the request.",
    )
    return problem(422, str(described))


async def _on_refused_body(request: Request, error: Exception) -> Response:
    """Answer for a body that the rules of the Cog server refuse."""
    assert isinstance(error, Refusal)
    if isinstance(error.content, str):
        reason = error.content
    else:
        details = error.content.get("detail")
        reason = details[0]["msg"] if details else error.content["error"].rstrip(".")
    described = RestoreError(Code.REQUEST_INVALID, reason, "See /docs for the request.")
    headers: dict[str, str] = dict(CLOSE) if error.close else {}
    if error.status == 503:
        headers["retry-after"] = str(RETRY_AFTER_S)
    return problem(error.status, str(described), headers)


async def _on_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody receives it


async def _on_lost_database(request: Request, error: Exception) -> Response:
    """Answer while the database cannot be used: clients repeat what they ask for."""
    assert isinstance(error, DBAPIError)
    log.error("%s %s: %s", request.method, request.scope["path"], error.orig)
    if database.is_full(error):
        return await _on_restore_error(request, disk_full())
    described = RestoreError(
        Code.SERVER, "the database of the service does not answer", "Send the request again later."
    )
    return await _on_restore_error(request, described)


async def _on_unexpected(request: Request, error: Exception) -> Response:
    """Answer for an internal error; the server logs it."""
    if isinstance(error, DBAPIError):  # of a middleware
        return await _on_lost_database(request, error)
    return problem(500, str(unexpected(error)))
