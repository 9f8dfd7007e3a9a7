"""The URLs of a request and of a response: the service's own ones, and those of photos."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from urllib.parse import quote, urlsplit

from starlette.requests import HTTPConnection, Request

from restore.errors import Code, RestoreError
from restore.service.ids import is_id
from restore.service.settings import Settings
from restore.serving.addresses import MAX_SHOWN_CHARACTERS, public_addresses
from restore.serving.fetch import URL_SCHEMES, has_scheme
from restore.serving.uploads import ADDRESSES, allowed_sources

MAX_URL_CHARACTERS = 8192
RESOLVE_TIMEOUT_S = 2.0

_OWN_FILE = re.compile(r"/v1/files/([a-z0-9]+)(/.*)?")
# Threads of their own: slow name servers must not hold up those of the database.
_resolvers = ThreadPoolExecutor(4, "resolver")


def base_url(request: Request) -> str:
    """Return the base of the URLs in the response to a request, without a slash at its end."""
    settings: Settings = request.app.state.service.settings
    if settings.public_url:
        return settings.public_url.rstrip("/")
    scope = request.scope
    host = request.headers.get("host", "")
    return _base_of(scope["scheme"], host, scope["server"], scope.get("root_path", ""))


@lru_cache(maxsize=256)
def _base_of(scheme: str, host: str, server: tuple[str, int | None] | None, root_path: str) -> str:
    """Return the base of URLs as Starlette finds it, which takes as long as a query."""
    headers = [(b"host", host.encode("latin-1"))] if host else []
    scope = {"type": "http", "scheme": scheme, "server": server, "headers": headers}
    return str(HTTPConnection(scope | {"path": "/", "root_path": root_path}).base_url).rstrip("/")


def default_base_url(settings: Settings) -> str:
    """Return the base of URLs that are not part of a response, as in webhooks."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return (settings.public_url or f"http://{host}:{settings.port}").rstrip("/")


def file_url(base: str, file_id: str) -> str:
    """Return the URL of the metadata of a file, which clients send as the value of an input."""
    return f"{base}/v1/files/{file_id}"


def download_url(base: str, file_id: str, token: str, name: str) -> str:
    """Return the URL of the content of a file. It needs no key, but contains a token."""
    return f"{base}/v1/files/{file_id}/{token}/{quote(name, safe='')}"


def own_file_id(url: str) -> str | None:
    """Return the id in the URL of a file of this service, or None.

    The host is not compared, because a service may have several names. Ids are unguessable, so that
    no URL of another host has the id of a file that is stored here.
    """
    try:
        found = _OWN_FILE.fullmatch(urlsplit(url).path)
    except ValueError:
        return None
    return found[1] if found and is_id(found[1]) else None


async def check_public(url: str, remedy: str) -> None:
    """Refuse a URL that is not http(s), or whose host is known not to be public.

    A name that cannot be resolved in time passes: who connects to it checks its address again. A
    proxy may know names that this machine does not know.

    Args:
        remedy: what to send instead.

    Raises:
        RestoreError: PHOTO_MISSING.
    """
    target = _host_and_port(url)
    if target is None:
        shown = url[:MAX_SHOWN_CHARACTERS]
        raise RestoreError(
            Code.PHOTO_MISSING, f"{shown!a} is not an http(s) URL that can be used", remedy
        )
    if ADDRESSES in allowed_sources():
        return
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT_S):
            await loop.run_in_executor(_resolvers, public_addresses, *target)
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        return


def is_http_url(url: str) -> bool:
    """Return whether a URL has the form of one that can be called."""
    return _host_and_port(url) is not None


def _host_and_port(url: str) -> tuple[str, int] | None:
    if len(url) > MAX_URL_CHARACTERS or not has_scheme(url, *URL_SCHEMES) or not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname else None
