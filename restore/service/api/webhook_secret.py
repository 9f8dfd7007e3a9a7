"""Replicate's route for the secret that signs webhooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from restore.service.api.errors import PROBLEMS
from restore.service.auth import owner_of

if TYPE_CHECKING:
    from restore.service.service import Service

router = APIRouter(prefix="/v1", tags=["webhooks"])


class WebhookSecret(BaseModel):
    """The secret of an API key; each key has its own."""

    key: str = Field(description="`whsec_` and base64, as in Standard Webhooks.")


@router.get("/webhooks/default/secret", response_model=WebhookSecret, responses=PROBLEMS)
async def get_secret(
    request: Request, key_owner: Annotated[str, Depends(owner_of)]
) -> dict[str, str]:
    """Return the secret with which the webhooks of the API key are signed."""
    service: Service = request.app.state.service
    return {"key": service.secrets.secret_of(key_owner)}
