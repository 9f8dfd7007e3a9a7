"""Tests of GET /metrics."""

from collections.abc import Callable

import pytest
from apicalls import Api, detail, jpeg
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from test_health import state

from restore.service.worker_state import WorkerStatus


def figures(api: Api, **request: object) -> dict[str, float]:
    """All figures by name and labels."""
    text = api("GET", "/metrics", **request).text
    return {
        ",".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_jobs_workers_and_disk(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.service.workers, "list", lambda: (state(WorkerStatus.BUSY),))
    ids = [
        api("POST", "/enhance", files=[("files", ("a.jpg", jpeg()))]).json()["job_id"]
        for _ in range(3)
    ]
    before = figures(api)
    assert before["restore_queue_length"] == before["restore_jobs,starting"] == 3
    assert before["restore_jobs_ended_total,succeeded"] == 0
    api.finish(ids[0], {"out.jpg": jpeg()})
    api.service.jobs.cancel(ids[1])
    after = figures(api)
    assert after["restore_queue_length"] == 1
    assert after["restore_jobs,succeeded"] == after["restore_jobs_ended_total,succeeded"] == 1
    assert after["restore_jobs_ended_total,canceled"] == 1
    assert (after["restore_predict_seconds_count"], after["restore_predict_seconds_sum"]) == (
        1,
        1.5,
    )
    assert (after["restore_total_seconds_count"], after["restore_wait_seconds_count"]) == (2, 1)
    assert after["restore_predict_seconds_bucket,2.5"] == 1
    assert after["restore_predict_seconds_bucket,1.0"] == 0
    assert (after["restore_workers,busy"], after["restore_workers,ready"]) == (1, 0)
    assert after["restore_worker_restarts_total,worker-1"] == 3
    assert after["restore_stored_bytes"] == 4 * len(jpeg())
    assert after["restore_disk_free_bytes"] > 0


def test_removal_of_old_jobs_is_not_counted_as_an_end(api: Api) -> None:
    job_id = api("POST", "/enhance", files=[("files", ("a.jpg", jpeg()))]).json()["job_id"]
    ended = api.finish(job_id, {"out.jpg": jpeg()})
    assert ended.completed_at is not None
    api.service.jobs.remove_data(ended.completed_at.replace(year=2999), limit=10)
    assert figures(api)["restore_jobs_ended_total,succeeded"] == 1


def test_registry_is_not_the_global_one(api: Api, api_of: Callable[..., Api]) -> None:
    api_of()  # a second service in the same process
    assert not [family for family in REGISTRY.collect() if family.name.startswith("restore")]
    assert "python_info" not in api("GET", "/metrics").text


def test_metrics_need_a_key(api_of: Callable[..., Api]) -> None:
    api = api_of(api_key="simple key")
    detail(api("GET", "/metrics"), 401, "E601")
    shown = api("GET", "/metrics", headers={"authorization": "Bearer simple key"})
    assert shown.headers["content-type"].startswith("text/plain; version=")
