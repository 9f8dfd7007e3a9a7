"""Protection of a service without keys from the web pages that its users visit.

A page of another site can send requests to 127.0.0.1. With its own name resolving to 127.0.0.1 (DNS
rebinding) it could also read the responses. A browser tells both: the header Origin names the page,
and the header Host the name that it has connected to.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from restore.errors import Code
from restore.service.api.errors import problem
from restore.service.auth import Access, host_in, is_loopback
from restore.service.http_errors import CLOSE, HttpError
from restore.service.settings import Settings

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. Another site cannot read the responses."""


class BrowserGuard:
    """ASGI middleware that refuses requests of other sites while the service needs no key.

    Args:
        app: the application.
        access: knows whether requests need a key.
        settings: have the names of the service.
    """

    def __init__(self, app: ASGIApp, access: Access, settings: Settings) -> None:
        self.app, self._access, self._settings = app, access, settings
        public = urlsplit(settings.public_url or "")
        self._public_host = public.hostname
        self._origins = {origin.rstrip("/").lower() for origin in settings.cors_origins}
        if settings.public_url:
            self._origins.add(f"{public.scheme}://{public.netloc}".lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and not await self._access.needs_key():
            refusal = self._refusal(Headers(scope=scope), scope["method"])
            if refusal is not None:
                response = problem(refusal.status, str(refusal), refusal.headers)
                await response(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, headers: Headers, method: str) -> HttpError | None:
        host = headers.get("host", "")
        if host and not self._is_own_host(host_in(host)):
            return _forbidden(
                "without an API key the service answers to the names of this machine only",
                "Use http://localhost or http://127.0.0.1, or start it with --public-url.",
            )
        origin = headers.get("origin")
        if origin is None or method in SAFE_METHODS:
            return None
        if _netloc(origin) == host.lower() or origin.lower() in self._origins:
            return None
        return _forbidden(
            "the request comes from a page of another site",
            "The operator can allow sites with RESTORE_CORS_ORIGINS.",
        )

    def _is_own_host(self, name: str) -> bool:
        if self._settings.open or is_loopback(name):
            return True
        return bool(name) and name == self._public_host


def _netloc(origin: str) -> str | None:
    """Return host and port of an origin, in small letters, or None for `null` and other values."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _forbidden(reason: str, remedy: str) -> HttpError:
    return HttpError(403, Code.UNAUTHORIZED, reason, remedy, headers=CLOSE)
