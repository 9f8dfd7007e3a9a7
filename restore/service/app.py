"""The HTTP application of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Depends, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.security import HTTPBearer

from restore.service.api import (
    account,
    docs,
    enhance,
    errors,
    files,
    health,
    metrics,
    models,
    replicate,
    tasks,
    webhook_secret,
)
from restore.service.browser_guard import BrowserGuard
from restore.service.page_files import PageFiles
from restore.service.unread_bodies import UnreadBodies
from restore.version import __version__

if TYPE_CHECKING:
    from restore.service.service import Service

DESCRIPTION = """\
Restores photographs. The routes below `/v1` are those of Replicate's HTTP API, so that its clients
work with another base URL. If the service has API keys, send one as `Authorization: Bearer KEY` or
`X-API-KEY: KEY`.
"""


def create_app(service: Service) -> FastAPI:
    """Build the application.

    Args:
        service: what the routes work on; whoever serves the application also runs the service.
    """

    app = FastAPI(
        title="Restore",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.router.redirect_slashes = False
    errors.add_handlers(app)
    key = Depends(HTTPBearer(auto_error=False, description="An API key."))  # for /docs only
    for module in (replicate, models, files, account, webhook_secret, tasks, enhance):
        app.include_router(module.router, dependencies=[key])
    for module in (health, metrics, docs):
        app.include_router(module.router)
    app.router.routes.extend(PageFiles().routes())
    if service.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.settings.cors_origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
        )
    app.add_middleware(BrowserGuard, access=service.access, settings=service.settings)
    app.add_middleware(UnreadBodies)
    return app
