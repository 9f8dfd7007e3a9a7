"""Tests of GET /health."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from apicalls import Api, jpeg
from sqlalchemy.exc import OperationalError

from restore.service.api.health import state_of
from restore.service.worker_state import WorkerState, WorkerStatus


def state(status: WorkerStatus) -> WorkerState:
    return WorkerState("worker-1", "http://10.0.0.9:5000", status, "job", 3, datetime.now(UTC), "")


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "ok"),
        (["ready"], "ok"),
        (["busy", "failed"], "ok"),
        (["starting", "unreachable"], "starting"),
        (["failed"], "degraded"),
        (["unreachable", "failed"], "degraded"),
    ],
)
def test_state_follows_the_workers(statuses: list[str], expected: str) -> None:
    assert state_of([state(WorkerStatus(status)) for status in statuses]) == expected


def test_health_shows_queue_workers_models_and_disk(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.service.workers, "list", lambda: (state(WorkerStatus.BUSY),))
    api("POST", "/enhance", files=[("files", ("a.jpg", jpeg()))])
    health = api("GET", "/health").json()
    assert (health["status"], health["queue_length"]) == ("ok", 1)
    assert health["jobs"]["starting"] == 1
    (worker,) = health["workers"]
    assert (worker["name"], worker["status"], worker["restarts"]) == ("worker-1", "busy", 3)
    assert set(worker) == {"name", "status", "restarts", "since", "reason"}
    assert "lite-upscale-x4" in health["models"]["embedded"]
    disk = health["disk"]
    assert disk["stored_bytes"] == len(jpeg())
    assert 0 < disk["free_bytes"] < disk["total_bytes"]
    assert disk["quota_bytes"] == 10_240 * 2**20


def test_without_a_key_only_the_status_is_shown(api_of: Callable[..., Api]) -> None:
    api = api_of(api_key="simple key")
    response = api("GET", "/health")
    assert (response.status_code, set(response.json())) == (200, {"status"})
    full = api("GET", "/health", headers={"x-api-key": "simple key"}).json()
    assert {"workers", "disk", "models"} <= set(full)


def test_database_that_does_not_answer_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OperationalError("SELECT", {}, Exception("disk I/O error"))

    monkeypatch.setattr(api.service.jobs, "counts", fail)
    response = api("GET", "/health")
    assert (response.status_code, response.json()) == (503, {"status": "unavailable"})
