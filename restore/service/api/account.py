"""Replicate's route for the account: who an API key belongs to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request

from restore.service.api import schemas
from restore.service.api.errors import PROBLEMS
from restore.service.auth import owner_of

if TYPE_CHECKING:
    from restore.service.service import Service

LOCAL_NAME = "local"

router = APIRouter(prefix="/v1", tags=["account"])


@router.get("/account", response_model=schemas.Account, responses=PROBLEMS)
async def get_account(
    request: Request, key_owner: Annotated[str, Depends(owner_of)]
) -> dict[str, Any]:
    """Return the name of the API key; `local` if the service needs no key."""
    service: Service = request.app.state.service
    key = await asyncio.to_thread(service.keys.get, key_owner)
    name = key.name if key else LOCAL_NAME
    return {"type": "user", "username": name, "name": name, "github_url": None}
