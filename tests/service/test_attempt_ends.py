"""Tests of attempts whose worker answers: results, refusals, and what is stored."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakegateway import PHOTO, Gateway, answers
from fakeworker import (
    PNG,
    data_uri,
    succeeded,
)
from sqlalchemy.exc import OperationalError

from restore.service import attempt
from restore.service.records import Status
from restore.service.worker import Worker

pytestmark = pytest.mark.timeout(60)


def test_results_reports_and_logs_are_stored(with_gateway: Callable[..., None]) -> None:
    async def scenario(gateway: Gateway) -> None:
        outputs = [data_uri(PNG), data_uri(b"{}", "application/json"), data_uri(b"m" * 3_000_000)]
        answer = 200, succeeded(*outputs)
        gateway.cog.behaviours.append(answers(*answer))
        job = await gateway.finished(gateway.submit(filenames=("tiny one.jpeg", "")))
        assert job.status is Status.SUCCEEDED
        assert (job.attempt, job.failures, job.worker) == (1, 0, "w")
        assert (job.predict_s, job.logs) == (0.25, "all done\n")
        assert job.reports == ({"photo": "tiny one.jpeg"},)
        assert job.output is not None
        files = [gateway.files.get(name.removeprefix("file:"), "") for name in job.output]
        assert [(file.name, file.content_type) for file in files if file] == [
            ("tiny one.png", "image/png"),
            ("photo-2.json", "application/json"),
            ("mask-1.png", "image/png"),
        ]
        stored = [gateway.files.read_bytes(file) for file in files if file]
        assert stored == [PNG, b"{}", b"m" * 3_000_000]

    with_gateway(scenario)


def test_local_worker_gets_paths_and_another_one_data_uris(
    with_gateway: Callable[..., None],
) -> None:
    sent: list[str] = []

    async def scenario(gateway: Gateway) -> None:
        job = await gateway.finished(gateway.submit())
        assert gateway.cog.ids == [f"{job.id}-1"]
        sent.append(gateway.cog.requests[0]["input"]["image"])
        assert gateway.cog.requests[0]["input"]["task"] == "upscale"

    with_gateway(scenario)
    assert Path(sent[0]).is_absolute()
    assert Path(sent[0]).read_bytes() == PHOTO
    with_gateway(scenario, Worker)
    assert sent[1] == f"data:image/jpeg;base64,{base64.b64encode(PHOTO).decode()}"


@pytest.mark.parametrize(
    ("status", "content", "error"),
    [
        (
            200,
            {
                "error": "Prediction failed: Prediction failed: RestoreError: [E203] photo 'image':"
                " 60.0 megapixels, the limit is 50. Make the photo smaller.",
                "status": "failed",
            },
            "[E203] photo 'image': 60.0 megapixels, the limit is 50. Make the photo smaller.",
        ),
        (
            200,
            {"error": "Prediction failed: Prediction failed: KeyError: 'a'", "status": "failed"},
            "[E504] the worker failed: KeyError: 'a'. The log of the server has the details.",
        ),
        (
            422,
            {"detail": [{"loc": ["body", "input", "scale"], "msg": "9 is greater than 8"}]},
            "[E102] the worker refuses the request: 9 is greater than 8. Check the inputs, and that"
            " worker and service have the same version of Restore.",
        ),
    ],
)
def test_error_of_the_worker_ends_the_job(
    with_gateway: Callable[..., None], status: int, content: Any, error: str
) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.cog.behaviours.append(answers(status, content))
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt, job.error) == (Status.FAILED, 1, error)

    with_gateway(scenario)


@pytest.mark.parametrize("image", ["file:" + "a" * 26, "/etc/hostname", "data:,x", 3])
def test_photo_that_is_not_stored_for_the_owner_is_refused(
    with_gateway: Callable[..., None], image: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.service.job_files.link_inputs", lambda *_: None)

    async def scenario(gateway: Gateway) -> None:
        job = await gateway.finished(gateway.submit(input={"images": [image]}))
        assert job.error is not None
        assert job.error.startswith("[E201] ")
        assert gateway.cog.requests == []

    with_gateway(scenario)


def test_end_of_a_job_is_written_again_after_an_error_of_the_database(
    with_gateway: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "DATABASE_PAUSES_S", (0.01, 0.01))

    async def scenario(gateway: Gateway) -> None:
        succeed, errors = gateway.jobs.succeed, [1, 2]

        def fail_twice(*args: Any, **kwargs: Any) -> bool:
            if errors and errors.pop():
                raise OperationalError("UPDATE", {}, ConnectionError("gone"))
            return succeed(*args, **kwargs)

        monkeypatch.setattr(gateway.jobs, "succeed", fail_twice)
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.attempt) == (Status.SUCCEEDED, 1)

    with_gateway(scenario)


def test_disk_without_space_fails_the_job_with_a_code(
    with_gateway: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.files.results.rmdir()  # so that a large result cannot be written
        gateway.cog.behaviours.append(answers(200, succeeded(data_uri(b"m" * 3_000_000))))
        job = await gateway.finished(gateway.submit())
        assert (job.status, job.error or "") != (Status.SUCCEEDED, "")
        assert (job.error or "").startswith("[E605] ")

    with_gateway(scenario)
