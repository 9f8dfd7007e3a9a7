"""Limits for each API key: requests per minute, waiting jobs and stored bytes.

Requests are counted in memory, so that each gateway of a database counts its own.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from restore.errors import Code
from restore.service.http_errors import retry_later
from restore.service.records import ApiKey
from restore.service.settings import MIB, Settings

FAILED_KEYS_PER_MINUTE = 30
"""Wrong keys that one address may try: each one costs the time of a hash."""


@dataclass(frozen=True)
class KeyLimits:
    """The limits of one owner.

    Attributes:
        requests_per_minute, waiting_jobs, stored_bytes: None means no limit besides the service's.
    """

    requests_per_minute: int | None = None
    waiting_jobs: int | None = None
    stored_bytes: int | None = None


class Limits:
    """Counts requests, and knows the limits of each key.

    Args:
        settings: they have the limits of keys that have no limits of their own, and of clients of
            an open service.
    """

    def __init__(self, settings: Settings) -> None:
        self.defaults = KeyLimits(
            settings.key_requests_per_minute,
            settings.key_waiting_jobs,
            settings.key_stored_mib * MIB,
        )
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def of_key(self, key: ApiKey) -> KeyLimits:
        """Return the limits of a key: its own ones, else the defaults."""
        own, default = key, self.defaults
        return KeyLimits(
            _first(own.requests_per_minute, default.requests_per_minute),
            _first(own.waiting_jobs, default.waiting_jobs),
            _first(own.stored_bytes, default.stored_bytes),
        )

    async def count_request(self, who: str, limit: int | None) -> None:
        """Count a request.

        Args:
            who: id of the key, or address of the client.
            limit: requests in a minute; None means no limit.

        Raises:
            HttpError: RATE_LIMIT, with the time after which the request may be sent again.
        """
        if limit is None:
            return
        item = RateLimitItemPerMinute(limit)
        if not await self._limiter.hit(item, "requests", who):
            raise retry_later(
                Code.RATE_LIMIT,
                f"there were more than {limit} requests within a minute",
                "Wait, and send fewer requests: poll a job once per second, or use a webhook.",
                await self._seconds_left(item, "requests", who),
            )

    async def check_failures(self, address: str) -> None:
        """Refuse an address that has sent too many wrong keys.

        Raises:
            HttpError: RATE_LIMIT.
        """
        item = RateLimitItemPerMinute(FAILED_KEYS_PER_MINUTE)
        if not await self._limiter.test(item, "failures", address):
            raise retry_later(
                Code.RATE_LIMIT,
                "this address has sent too many wrong API keys",
                "Wait a minute, and check the key.",
                await self._seconds_left(item, "failures", address),
            )

    async def count_failure(self, address: str) -> None:
        """Count a wrong key."""
        item = RateLimitItemPerMinute(FAILED_KEYS_PER_MINUTE)
        await self._limiter.hit(item, "failures", address)

    async def _seconds_left(self, item: RateLimitItemPerMinute, *identifiers: str) -> int:
        stats = await self._limiter.get_window_stats(item, *identifiers)
        return math.ceil(stats.reset_time - time.time())


def _first(own: int | None, default: int | None) -> int | None:
    return default if own is None else own
