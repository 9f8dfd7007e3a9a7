"""Replicate's routes for the one model of the service and its version."""

from __future__ import annotations

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request

from restore.errors import Code
from restore.service.api import schemas
from restore.service.api.errors import NOT_FOUND
from restore.service.api.prediction import timestamp
from restore.service.api.urls import base_url
from restore.service.auth import owner_of
from restore.service.http_errors import HttpError
from restore.serving.request_body import MAX_SHOWN_CHARACTERS
from restore.serving.schema import openapi_schema
from restore.version import __version__

if TYPE_CHECKING:
    from restore.service.service import Service

DESCRIPTION = (
    "Restores photographs: faces, noise, blur, scratches, holes, colours and resolution. Task"
    " `pipeline` finds out what a photo needs."
)

router = APIRouter(prefix="/v1/models", tags=["models"], dependencies=[Depends(owner_of)])


class ModelVersion:
    """The version of the predictor that this service has.

    Attributes:
        id: 64 hexadecimal digits, which change with the version of the program and its inputs.
        json: the version as it is sent to clients.
    """

    def __init__(self) -> None:
        schema = openapi_schema()
        self.id = hashlib.sha256(json.dumps([__version__, schema]).encode()).hexdigest()
        installed = datetime.fromtimestamp(Path(__file__).stat().st_mtime, UTC)
        self.json: dict[str, Any] = {
            "id": self.id,
            "created_at": timestamp(installed),
            "cog_version": version_of("cog"),
            "openapi_schema": schema,
        }


def check_model(service: Service, owner: str, name: str) -> None:
    """Refuse a model that the service does not have.

    Raises:
        HttpError: 404.
    """
    if f"{owner}/{name}" != service.settings.model:
        asked = f"{owner}/{name}"[: 2 * MAX_SHOWN_CHARACTERS]
        raise HttpError(
            404,
            Code.REQUEST_INVALID,
            f"there is no model '{asked}'",
            f"This service has the model {service.settings.model}.",
        )


def check_version(service: Service, text: str) -> None:
    """Refuse a version that the service does not have.

    Args:
        text: `ID`, `OWNER/NAME` or `OWNER/NAME:ID`.

    Raises:
        HttpError: 404 for another model, 422 for another version of the model.
    """
    model, _, version_id = text.rpartition(":") if ":" in text else (text, "", "")
    if "/" in model:
        owner, _, name = model.partition("/")
        check_model(service, owner, name)
    else:
        version_id = text
    if version_id and version_id != service.version.id:
        raise _version_missing(422, service, version_id)


def _version_missing(status: int, service: Service, version_id: str) -> HttpError:
    return HttpError(
        status,
        Code.REQUEST_INVALID,
        f"there is no version '{version_id[: 2 * MAX_SHOWN_CHARACTERS]}'",
        f"Use {service.settings.model} without a version, or the version {service.version.id}.",
    )


@router.get("", response_model=schemas.Page[schemas.Model])
async def list_models(request: Request) -> dict[str, Any]:
    """List the models of the service: there is one."""
    return {"previous": None, "next": None, "results": [await _model_json(request)]}


@router.get("/{owner}/{name}", response_model=schemas.Model, responses=NOT_FOUND)
async def get_model(request: Request, owner: str, name: str) -> dict[str, Any]:
    """Return the model and its version."""
    check_model(request.app.state.service, owner, name)
    return await _model_json(request)


@router.get(
    "/{owner}/{name}/versions",
    response_model=schemas.Page[schemas.Version],
    responses=NOT_FOUND,
)
async def list_versions(request: Request, owner: str, name: str) -> dict[str, Any]:
    """List the versions of the model: there is one."""
    service: Service = request.app.state.service
    check_model(service, owner, name)
    return {"previous": None, "next": None, "results": [service.version.json]}


@router.get(
    "/{owner}/{name}/versions/{version_id}", response_model=schemas.Version, responses=NOT_FOUND
)
async def get_version(request: Request, owner: str, name: str, version_id: str) -> dict[str, Any]:
    """Return a version, with the schema of its input and output."""
    service: Service = request.app.state.service
    check_model(service, owner, name)
    if version_id != service.version.id:
        raise _version_missing(404, service, version_id)
    return service.version.json


async def _model_json(request: Request) -> dict[str, Any]:
    service: Service = request.app.state.service
    owner, name = service.settings.model.split("/")
    counts = await asyncio.to_thread(service.jobs.counts)
    base = base_url(request)
    return {
        "url": f"{base}/",
        "owner": owner,
        "name": name,
        "description": DESCRIPTION,
        "visibility": "private",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": sum(counts.values()),
        "cover_image_url": None,
        "default_example": None,
        "latest_version": service.version.json,
    }
