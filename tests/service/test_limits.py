"""Tests of the limits for each key."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from restore.errors import Code
from restore.service import limits
from restore.service.http_errors import HttpError
from restore.service.limits import KeyLimits, Limits
from restore.service.records import ApiKey
from restore.service.settings import Settings


def a_key(**own: Any) -> ApiKey:
    return ApiKey(id="k", name="phone", created_at=datetime.now(UTC), **own)


def test_limits_of_a_key_replace_the_defaults_one_by_one() -> None:
    settings = Settings(key_requests_per_minute=5, key_waiting_jobs=6, key_stored_mib=7)
    counted = Limits(settings)
    assert counted.of_key(a_key()) == KeyLimits(5, 6, 7 * 2**20)
    assert counted.of_key(a_key(waiting_jobs=1)) == KeyLimits(5, 1, 7 * 2**20)
    assert counted.of_key(a_key(requests_per_minute=2, stored_bytes=3)) == KeyLimits(2, 6, 3)


def test_requests_above_the_limit_are_refused_for_this_key_only() -> None:
    async def count() -> HttpError:
        counted = Limits(Settings())
        for _ in range(3):
            await counted.count_request("a", 3)
        with pytest.raises(HttpError, match="more than 3 requests within a minute") as caught:
            await counted.count_request("a", 3)
        await counted.count_request("b", 3)
        for _ in range(10):
            await counted.count_request("c", None)
        return caught.value

    error = asyncio.run(count())
    assert (error.status, error.code) == (429, Code.RATE_LIMIT)
    assert 1 <= int(error.headers["retry-after"]) <= 60


def test_address_with_many_wrong_keys_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FAILED_KEYS_PER_MINUTE", 2)

    async def count() -> HttpError:
        counted = Limits(Settings())
        for _ in range(2):
            await counted.check_failures("1.2.3.4")
            await counted.count_failure("1.2.3.4")
        with pytest.raises(HttpError, match="too many wrong API keys") as caught:
            await counted.check_failures("1.2.3.4")
        await counted.check_failures("1.2.3.5")
        return caught.value

    error = asyncio.run(count())
    assert error.status == 429
    assert 1 <= int(error.headers["retry-after"]) <= 60
