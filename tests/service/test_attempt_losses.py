"""Tests of attempts whose worker dies, hangs, or takes no job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakegateway import Gateway, answers, hangs
from fakeworker import (
    DEATHS,
    Request,
    dies_while_working,
    says_that_its_process_crashed,
)

from restore.service import attempt_watch, worker
from restore.service.records import Status

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("death", DEATHS)
def test_job_survives_two_deaths_of_its_worker_at_each_stage(
    with_gateway: Callable[..., None], death: Callable[..., Any]
) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours += [death, death]
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt, job.failures) == (Status.SUCCEEDED, 3, 2)
        assert len(job.output or ()) == 1
        assert "Attempt 1 was lost" not in job.logs, "the logs are those of the last attempt"

    with_gateway(scenario)


def test_job_that_kills_its_worker_three_times_fails(with_gateway: Callable[..., None]) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours += [says_that_its_process_crashed, dies_while_working] * 2
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt) == (Status.FAILED, 3)
        assert job.error is not None
        assert job.error.startswith("[E606] ")

    with_gateway(scenario)


@pytest.mark.parametrize(
    "refusal",
    [
        (503, {"error": "Setup has not finished yet.", "status": "failed"}),
        (503, {"error": "[E504] the folder cannot be created", "status": "failed"}),
        (202, {"status": "processing"}),
        (404, {"detail": "Not Found"}),
    ],
)
def test_worker_that_is_not_available_costs_no_failure(
    with_gateway: Callable[..., None], refusal: tuple[int, Any]
) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours += [answers(*refusal)] * 3
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt, job.failures) == (Status.SUCCEEDED, 4, 0)

    with_gateway(scenario)


def test_server_that_is_busy_for_a_moment_is_asked_again(with_gateway: Callable[..., None]) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours += [answers(409, {"error": "At capacity"})] * 3
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt) == (Status.SUCCEEDED, 1)

    with_gateway(scenario)


def test_prediction_without_progress_is_given_up(
    with_gateway: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_watch, "STALL_LIMIT_S", 0.2)

    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours.append(hangs)
        replaced = []
        replace = gateway.worker.replace

        async def record(reason: str) -> None:
            replaced.append(reason)
            await replace(reason)

        gateway.worker.replace = record  # type: ignore[method-assign]
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt, job.failures) == (Status.SUCCEEDED, 2, 1)
        assert replaced == ["it made no progress for 0 s"]

    with_gateway(scenario)


def test_worker_that_does_not_answer_loses_its_job(
    with_gateway: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "SILENCE_LIMIT_S", 0.2)
    monkeypatch.setattr(worker, "POLL_S", 0.05)
    monkeypatch.setattr("restore.service.worker_client.SHORT_TIMEOUT_S", 0.05)

    async def scenario(gateway: Gateway) -> None:
        async def behaviour(request: Request) -> None:
            gateway.cog.status = None
            await hangs(request)

        gateway.cog.behaviours.append(behaviour)
        job = gateway.submit()
        await gateway.until(job, lambda job: job.failures == 1)
        gateway.cog.status = "READY"
        job = await gateway.finished(job)
        assert (job.status, job.attempt) == (Status.SUCCEEDED, 2)

    with_gateway(scenario)
