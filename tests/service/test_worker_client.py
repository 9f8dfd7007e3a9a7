"""Tests of restore.service.worker_client. test_dispatcher.py tests the requests of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from fakeworker import FakeCog

from restore.service import worker_client
from restore.service.worker_client import Health, WorkerClient


def run(scenario: Callable[[FakeCog, WorkerClient], Awaitable[None]]) -> None:
    async def with_server() -> None:
        cog = FakeCog()
        async with cog.serving() as url:
            client = WorkerClient(url)
            try:
                await scenario(cog, client)
            finally:
                client.close()

    asyncio.run(with_server())


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def scenario(cog: FakeCog, client: WorkerClient) -> None:
        assert await client.health() == Health("READY", "why")

    run(scenario)


def test_logs_and_cancellation_of_a_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(cog: FakeCog, client: WorkerClient) -> None:
        cog.running, cog.logs = "a-1", "a line\n"
        assert await client.logs("a-1") == "a line\n"
        assert await client.cancel("a-1") is True
        assert cog.cancelled == ["a-1"]
        cog.running = None
        assert await client.logs("a-1") is None

    run(scenario)


def test_server_without_an_answer_has_no_health_and_no_logs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_client, "SHORT_TIMEOUT_S", 0.05)

    async def scenario(cog: FakeCog, client: WorkerClient) -> None:
        cog.status = None
        assert await client.health() is None
        client.move("http://127.0.0.1:9")
        assert await client.health() is None
        assert await client.logs("a-1") is None
        assert await client.cancel("a-1") is False

    run(scenario)
