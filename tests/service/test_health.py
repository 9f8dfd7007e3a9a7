"""Tests of GET /health."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from apicalls import Api, jpeg
from sqlalchemy.exc import OperationalError

from restore.service.api.health import REASONS, State, state_of
from restore.service.file_writer import MIN_FREE_BYTES
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


@pytest.fixture
def ready(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """A service whose worker can work."""
    monkeypatch.setattr(api.service.workers, "list", lambda: (state(WorkerStatus.READY),))
    return api


def test_health_that_is_ok_has_no_reasons(ready: Api) -> None:
    health = ready("GET", "/health").json()
    assert (health["status"], health["reasons"]) == ("ok", [])


@pytest.mark.parametrize("folder", ["uploads", "results"])
def test_full_disk_is_degraded_with_its_reason_while_uploads_are_refused(
    ready: Api, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    full = getattr(ready.service.files, folder)
    usage = shutil.disk_usage(full)

    def disk_usage(path: Path) -> object:
        return usage._replace(free=MIN_FREE_BYTES - 1) if Path(path).is_relative_to(full) else usage

    monkeypatch.setattr("restore.service.file_writer.shutil.disk_usage", disk_usage)
    response = ready("GET", "/health")
    assert response.status_code == 200
    assert response.json()["status"] == "degraded"
    assert response.json()["reasons"] == ["uploads are refused: the disk of the service is full"]
    if folder == "uploads":
        assert ready("POST", "/v1/files", files=[("content", ("a.jpg", jpeg()))]).status_code == 507


def test_full_quota_is_degraded_with_its_reason(ready: Api) -> None:
    ready("POST", "/v1/files", files=[("content", ("a.jpg", jpeg()))])
    ready.service.files.quota.limit_bytes = len(jpeg())
    health = ready("GET", "/health").json()
    assert health["status"] == "degraded"
    [reason] = health["reasons"]
    assert reason.startswith("uploads are refused: the stored files would take more than ")
    assert ready("POST", "/v1/files", files=[("content", ("b.jpg", jpeg()))]).status_code == 507


@pytest.mark.parametrize("status", [WorkerStatus.STARTING, WorkerStatus.FAILED])
def test_reasons_say_why_jobs_wait(
    api: Api, monkeypatch: pytest.MonkeyPatch, status: WorkerStatus
) -> None:
    monkeypatch.setattr(api.service.workers, "list", lambda: (state(status),))
    health = api("GET", "/health").json()
    expected: State = "starting" if status is WorkerStatus.STARTING else "degraded"
    assert (health["status"], health["reasons"]) == (expected, [REASONS[expected]])


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
