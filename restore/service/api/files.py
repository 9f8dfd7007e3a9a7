"""Replicate's routes for files, and the downloads of files by URLs that need no key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, Response

from restore.errors import Code
from restore.service.api import schemas
from restore.service.api.direct_route import DirectRoute
from restore.service.api.errors import NOT_FOUND, PROBLEMS
from restore.service.api.prediction import timestamp
from restore.service.api.stored_response import stored_response
from restore.service.api.uploads import stored_form
from restore.service.api.urls import base_url, download_url, file_url
from restore.service.auth import owner_of
from restore.service.forms import FormLimits
from restore.service.http_errors import HttpError
from restore.service.records import StoredFile

if TYPE_CHECKING:
    from restore.service.service import Service

CONTENT, METADATA = "content", "metadata"
LIMITS = FormLimits(files=2, fields=8)
"""The file, and its metadata, which the client for JavaScript sends as a file, too."""

SHOWN_TYPES = frozenset(
    {"image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "application/json"}
)
"""Types that a browser may show. Other files are downloaded: an upload may be a page."""
DOWNLOAD_HEADERS = {
    "cache-control": "private, max-age=3600, immutable",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [CONTENT],
                    "properties": {CONTENT: {"type": "string", "format": "binary"}},
                }
            }
        },
    }
}

router = APIRouter(prefix="/v1/files", tags=["files"])
direct = APIRouter(route_class=DirectRoute)
Owner = Annotated[str, Depends(owner_of)]


@router.post(
    "", status_code=201, response_model=schemas.File, openapi_extra=_FORM, responses=PROBLEMS
)
async def create_file(request: Request, key_owner: Owner) -> dict[str, Any]:
    """Upload a photo as the part `content` of a form. It is removed after some time.

    `urls.get` of the response is a value for the inputs of a prediction. The part `metadata` of
    Replicate's clients is accepted, and not kept.
    """
    service: Service = request.app.state.service
    form = await stored_form(request, key_owner, LIMITS)
    contents = [stored for name, stored in form.files if name == CONTENT]
    for stored in (each for _, each in form.files):
        if [stored] != contents:
            await asyncio.to_thread(service.files.delete, stored.id)
    if len(contents) != 1:
        raise HttpError(
            422,
            Code.REQUEST_INVALID,
            f"the form has {len(contents)} files named {CONTENT}",
            f"Send the photo as the part `{CONTENT}`, for example by `curl -F {CONTENT}=@FILE`.",
        )
    return _file_json(request, contents[0])


@router.get("", response_model=schemas.Page[schemas.File], responses=PROBLEMS)
async def list_files(request: Request, key_owner: Owner) -> dict[str, Any]:
    """List the uploads of the API key that are still there, newest first, 100 at most."""
    service: Service = request.app.state.service
    found = await asyncio.to_thread(service.files.uploads_of, key_owner)
    return {"results": [_file_json(request, stored) for stored in found]}


@router.get("/{file_id}", response_model=schemas.File, responses=PROBLEMS | NOT_FOUND)
async def get_file(request: Request, key_owner: Owner, file_id: str) -> dict[str, Any]:
    """Return the metadata of a file."""
    service: Service = request.app.state.service
    stored = await asyncio.to_thread(service.files.get, file_id, key_owner)
    if stored is None:
        raise _missing()
    return _file_json(request, stored)


@router.delete("/{file_id}", status_code=204, responses=PROBLEMS | NOT_FOUND)
async def delete_file(request: Request, key_owner: Owner, file_id: str) -> Response:
    """Delete a file that no waiting or running prediction uses."""
    service: Service = request.app.state.service
    if not await asyncio.to_thread(service.files.delete, file_id, key_owner):
        raise _missing()
    return Response(status_code=204)


@direct.get("/{file_id}/{token}/{name}", response_class=FileResponse, responses=NOT_FOUND)
async def download_file(request: Request, file_id: str, token: str, name: str) -> Response:
    """Return the content of a file. The URL contains a signature, and needs no key."""
    service: Service = request.app.state.service
    if not service.files.check_token(file_id, token):
        raise _missing()

    def response() -> Response:
        recent = service.files.recent.get([file_id])
        stored = recent[file_id] if recent else service.files.get(file_id)
        if stored is None:
            raise _missing()
        shown = stored.content_type in SHOWN_TYPES
        disposition = "inline" if shown else "attachment"
        name = quote(stored.name, safe="")
        headers = {
            **DOWNLOAD_HEADERS,
            "content-disposition": f"{disposition}; filename*=utf-8''{name}",
        }
        media_type = stored.content_type if shown else "application/octet-stream"
        try:
            return stored_response(request, service.files.path(stored), headers, media_type)
        except FileNotFoundError as error:
            raise _missing() from error

    return await asyncio.to_thread(response)


def _file_json(request: Request, stored: StoredFile) -> dict[str, Any]:
    service: Service = request.app.state.service
    base = base_url(request)
    token = service.files.url_token(stored)
    return {
        "id": stored.id,
        "name": stored.name,
        "content_type": stored.content_type,
        "size": stored.size,
        "etag": stored.sha256,
        "checksums": {"sha256": stored.sha256},
        "metadata": {},
        "created_at": timestamp(stored.created_at),
        "expires_at": timestamp(stored.expires_at),
        "urls": {
            "get": file_url(base, stored.id),
            "download": download_url(base, stored.id, token, stored.name),
        },
    }


def _missing() -> HttpError:
    return HttpError(
        404,
        Code.PHOTO_MISSING,
        "there is no such file, its URL has expired, or it belongs to another API key",
        "Upload the photo again, or repeat the prediction.",
    )


router.include_router(direct)
