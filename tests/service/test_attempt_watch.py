"""Tests of what is watched while a job runs: progress, cancellation, and its claim."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fakegateway import Gateway, hangs
from fakeworker import (
    Request,
    succeeded,
)
from replicate.prediction import Prediction
from sqlalchemy.exc import OperationalError

from restore.service import attempt_watch
from restore.service.records import Status

pytestmark = pytest.mark.timeout(60)


def test_progress_appears_while_the_job_runs(with_gateway: Callable[..., None]) -> None:
    line = " 42%|####1     | 5/12 [00:03<00:04] upscale: tiles"

    async def scenario(gateway: Gateway) -> None:
        finish = asyncio.Event()

        async def behaviour(request: Request) -> tuple[int, Any]:
            gateway.cog.logs = f"begin\n{line}\nhalf a li"
            await asyncio.wait_for(finish.wait(), 10)
            return 200, {"error": "RestoreError: [E203] too large", "logs": "", "status": "failed"}

        gateway.cog.behaviours.append(behaviour)
        job = gateway.submit()
        running = await gateway.until(job, lambda job: job.logs != "")
        assert running.logs == f"begin\n{line}\n"
        assert Prediction.Progress.parse(running.logs).current == 5  # type: ignore[union-attr]
        gateway.cog.logs += "ne\nlast\n"
        finished_lines = f"begin\n{line}\nhalf a line\nlast\n"
        await gateway.until(job, lambda job: job.logs == finished_lines)
        finish.set()
        assert (await gateway.finished(job)).logs == finished_lines

    with_gateway(scenario)


def test_job_is_cancelled_when_its_prediction_has_logged(
    with_gateway: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_watch, "START_S", 60.0)

    async def scenario(gateway: Gateway) -> None:
        async def behaviour(request: Request) -> tuple[int, Any]:
            await asyncio.sleep(0.3)
            assert not gateway.cog.cancelled
            gateway.cog.logs = "begin\n"
            await asyncio.wait_for(gateway.cog.cancellation.wait(), 10)
            return 200, {"logs": "", "metrics": {"predict_time": 1.0}, "status": "canceled"}

        gateway.cog.behaviours.append(behaviour)
        job = gateway.submit()
        await gateway.until(job, lambda job: job.status is Status.PROCESSING)
        await asyncio.to_thread(gateway.jobs.cancel, job.id)
        assert (await gateway.finished(job)).status is Status.CANCELED
        assert gateway.cog.cancelled == [f"{job.id}-1"]

    with_gateway(scenario)


def test_cancellation_ends_also_if_the_worker_does_not_stop(
    with_gateway: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_watch, "CANCEL_LIMIT_S", 0.1)
    monkeypatch.setattr(attempt_watch, "START_S", 0.0)

    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours.append(hangs)
        job = gateway.submit()
        await gateway.until(job, lambda job: job.status is Status.PROCESSING)
        await asyncio.to_thread(gateway.jobs.cancel, job.id)
        assert (await gateway.finished(job)).status is Status.CANCELED

    with_gateway(scenario)


def test_result_of_a_lost_claim_does_not_count(with_gateway: Callable[..., None]) -> None:
    async def scenario(gateway: Gateway) -> None:
        started = asyncio.Event()

        async def behaviour(request: Request) -> tuple[int, Any]:
            started.set()
            await asyncio.sleep(0.3)
            return 200, succeeded()

        gateway.cog.behaviours.append(behaviour)
        job = gateway.submit()
        await asyncio.wait_for(started.wait(), 10)
        await asyncio.to_thread(
            gateway.jobs.release, job.id, 1, worker_died=False, error="another gateway took it"
        )
        found = await gateway.finished(job)
        assert (found.status, found.attempt) == (Status.SUCCEEDED, 2)
        await asyncio.sleep(0.4)
        assert len(gateway.ends) == 1

    with_gateway(scenario)


def test_error_of_the_database_does_not_stop_a_prediction(
    with_gateway: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(gateway: Gateway) -> None:
        failed = asyncio.Event()

        async def behaviour(request: Request) -> tuple[int, Any]:
            await asyncio.wait_for(failed.wait(), 10)
            await asyncio.sleep(0.1)
            return 200, succeeded()

        loop = asyncio.get_running_loop()

        def fail(*args: Any) -> None:
            loop.call_soon_threadsafe(failed.set)
            raise OperationalError("UPDATE", {}, ConnectionError("gone"))

        gateway.cog.behaviours.append(behaviour)
        monkeypatch.setattr(gateway.jobs, "renew", fail)
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt) == (Status.SUCCEEDED, 1)

    with_gateway(scenario)
