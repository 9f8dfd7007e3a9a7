"""Who a request comes from: API keys, and the rules for a service without keys.

Without any key the service is for the users of its own machine. Every web page that they open runs
there too, so that requests of browsers are checked for the page that they come from.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import time
from urllib.parse import urlsplit

from sqlalchemy.exc import DBAPIError
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request

from restore.errors import Code, RestoreError
from restore.service.http_errors import HttpError
from restore.service.keys import KeyStore
from restore.service.limits import KeyLimits, Limits
from restore.service.records import ApiKey
from restore.service.settings import Settings

NO_KEY_OWNER = ""
ENVIRONMENT_OWNER = "api-key"
"""Owner of the jobs of `API_KEY`; ids of other keys are longer."""
REFRESH_S = 2.0
"""Time after which keys that another process has created or revoked are seen."""

CREATE_A_KEY = "Create a key with `restore service keys create NAME`"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address means this machine only."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def environment_key(settings: Settings) -> bytes | None:
    """Return the key of the simple case; an empty one, as in a template of `.env`, is none."""
    secret = settings.api_key.get_secret_value().strip() if settings.api_key else ""
    return secret.encode() or None


def check_exposure(settings: Settings, *, has_keys: bool) -> None:
    """Refuse to serve everybody on the network, unless the operator asks for it.

    Args:
        has_keys: whether the database has keys.

    Raises:
        RestoreError: UNAUTHORIZED if there is no key; OPTION_INVALID for `open` with a key.
    """
    has_key = has_keys or environment_key(settings) is not None
    if has_key and settings.open:
        raise RestoreError(
            Code.OPTION_INVALID,
            "--open serves without keys, but there is an API key",
            "Leave out --open, or remove API_KEY and use a data folder without keys.",
        )
    if not (has_key or settings.open or is_loopback(settings.host)):
        raise RestoreError(
            Code.UNAUTHORIZED,
            f"without an API key the service does not listen on {settings.host}",
            f"{CREATE_A_KEY}, set API_KEY, or use --open to serve everybody who can reach it.",
        )


async def owner_of(request: Request) -> str:
    """Return the owner of the jobs of a request; a dependency of all routes with jobs or files.

    Raises:
        HttpError: UNAUTHORIZED (401) without a valid key, RATE_LIMIT (429).
    """
    access: Access = request.app.state.service.access
    return await access.owner_of(request)


async def has_access(request: Request) -> bool:
    """Return whether a request has a key, if it needs one; for routes that then show more."""
    try:
        await owner_of(request)
    except HttpError as error:
        if error.code is Code.UNAUTHORIZED:
            return False
        raise
    return True


class Access:
    """Finds the owner of a request, and counts its requests.

    Args:
        settings: have the key of the simple case.
        keys: have all others.
        limits: count the requests.
    """

    def __init__(self, settings: Settings, keys: KeyStore, limits: Limits) -> None:
        self._secret = environment_key(settings)
        self._settings, self._keys, self._limits = settings, keys, limits
        # Of each key that has sent a request, as of the last one: the limits of a key never change.
        self._known_limits: dict[str, KeyLimits] = {}
        self._has_keys = False
        self._checked_s: float | None = None
        self._hashing = asyncio.Semaphore(2)  # each hash takes 16 MiB

    async def owner_of(self, connection: HTTPConnection) -> str:
        """Return the owner of a request.

        Raises:
            HttpError: as in the function `owner_of`.
        """
        address = connection.client.host if connection.client else "unknown"
        if not await self.needs_key():
            # A user of this machine cannot harm others by many requests.
            limit = self._limits.defaults.requests_per_minute if self._settings.open else None
            await self._limits.count_request(f"address {address}", limit)
            return NO_KEY_OWNER
        secret = secret_in(connection.headers)
        if secret is None:
            raise _unauthorized("the request has no API key")
        # Headers are decoded as Latin-1, whatever their bytes are.
        if self._secret and hmac.compare_digest(secret.encode("latin-1"), self._secret):
            owner, limits = ENVIRONMENT_OWNER, self._limits.defaults
        else:
            key = await self._verify(secret, address)
            owner, limits = key.id, self._limits.of_key(key)
        self._known_limits[owner] = limits
        await self._limits.count_request(owner, limits.requests_per_minute)
        return owner

    async def needs_key(self) -> bool:
        """Return whether requests need a key: as soon as there is or was one."""
        if self._secret or self._has_keys:
            return True
        if self._checked_s is None or time.monotonic() - self._checked_s >= REFRESH_S:
            try:
                self._has_keys = await asyncio.to_thread(self._keys.exists)
            except DBAPIError:
                # Nobody can create a key while the database does not answer.
                if self._checked_s is None:
                    raise
            self._checked_s = time.monotonic()
        return self._has_keys

    async def limits_of(self, owner: str) -> KeyLimits:
        """Return the limits of an owner."""
        if owner == NO_KEY_OWNER:
            return KeyLimits()
        if known := self._known_limits.get(owner):
            return known
        key = None if owner == ENVIRONMENT_OWNER else await asyncio.to_thread(self._keys.get, owner)
        return self._limits.of_key(key) if key else self._limits.defaults

    async def _verify(self, secret: str, address: str) -> ApiKey:
        if key := self._keys.recently_verified(secret):
            return key
        await self._limits.check_failures(address)
        async with self._hashing:
            key = await asyncio.to_thread(self._keys.verify, secret)
        if key is None:
            await self._limits.count_failure(address)
            raise _unauthorized("the API key is not valid")
        return key


def secret_in(headers: Headers) -> str | None:
    """Return the API key in the headers of a request, or None."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return headers.get("x-api-key", "").strip() or None


def _unauthorized(reason: str) -> HttpError:
    return HttpError(
        401,
        Code.UNAUTHORIZED,
        reason,
        "Send it as `Authorization: Bearer KEY` or `X-API-KEY: KEY`.",
        headers={"www-authenticate": "Bearer"},
    )


def host_in(netloc: str) -> str:
    """Return the name or address in a Host header, in small letters, or "" if it is not valid."""
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""
