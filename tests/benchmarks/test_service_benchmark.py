"""The benchmark of the service: what it counts as a fault, its kills, and its careful client."""

import contextlib
import json
import random
from dataclasses import replace
from typing import Any

import pytest
from localserver import LocalServer, QuietHandler

from benchmarks import service_client
from benchmarks.service_client import FinishedJob, ServiceClient
from benchmarks.service_kill import growth_mb, kill_plan, peaks_mb, problems_of, requests_of
from benchmarks.service_receiver import Events
from benchmarks.soak_requests import TASKS

PHOTO, INPUTS = requests_of(1, 1)[0]


def finished(name: str) -> FinishedJob:
    return FinishedJob(name, "upscale", f"photo-{name}", "succeeded", "", (PHOTO,), False, 1.0)


JOBS = [finished("a"), finished("b")]
LISTED = [{"id": job.id, "status": "succeeded"} for job in JOBS]
EVENTS = {"a": {"1"}, "b": {"2"}}


@pytest.mark.parametrize(
    ("jobs", "listed", "events", "fault"),
    [
        (JOBS, LISTED, EVENTS, None),
        (JOBS, LISTED[:1], EVENTS, "lost"),
        (JOBS, [*LISTED, {"id": "c", "status": "succeeded"}], EVENTS, "duplicated"),
        (JOBS, [LISTED[0], {"id": "b", "status": "failed"}], EVENTS, "not_succeeded"),
        ([JOBS[0], replace(JOBS[1], outputs=(b"half",))], LISTED, EVENTS, "bad_results"),
        ([JOBS[0], replace(JOBS[1], outputs=())], LISTED, EVENTS, "bad_results"),
        (JOBS, LISTED, {"a": {"1"}}, "without_event"),
        (JOBS, LISTED, {"a": {"1"}, "b": {"2", "3"}}, "ended_twice"),
    ],
)
def test_each_fault_is_counted(
    jobs: list[FinishedJob], listed: list[dict[str, str]], events: dict[str, set[str]], fault: str
) -> None:
    problems = problems_of(2, jobs, listed, Events(events))
    assert {name for name, count in problems.items() if count} == ({fault} if fault else set())


def test_kills_are_spread_and_come_before_the_end() -> None:
    plan = kill_plan(500, 5, 10, random.Random(1))
    assert [target for _, target in plan].count("gateway") == 5
    assert len(plan) == 15
    assert plan == sorted(plan)
    assert plan[-1][0] <= 450


def test_growth_ignores_restarts_but_not_higher_peaks() -> None:
    restarts = [100.0, 100.0, 20.0, 100.0] * 8
    assert growth_mb(peaks_mb(restarts)) == 0.0
    assert growth_mb(peaks_mb([*restarts[:-1], 250.0])) == 150.0
    assert growth_mb(peaks_mb([1.0])) == 0.0


def test_all_tasks_take_turns() -> None:
    tasks = [inputs["task"] for _, inputs in requests_of(2 * len(TASKS), 1)]
    assert tasks == [*TASKS, *TASKS]


class Api(LocalServer):
    """Accepts a prediction, but closes the connection instead of the first answer."""

    def __init__(self) -> None:
        self.submitted: list[dict[str, Any]] = []
        api = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:  # noqa: N802
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.path == "/v1/files":
                    answer(self, {"id": "f1", "urls": {"get": f"{api.url}/v1/files/f1"}})
                    return
                api.submitted.append(json.loads(body))
                self.close_connection = True

            def do_GET(self) -> None:  # noqa: N802
                job: dict[str, Any] = {
                    "id": "j1",
                    "status": "succeeded",
                    "error": None,
                    "output": [],
                }
                listed = [job | request for request in api.submitted]
                is_list = self.path == "/v1/predictions"
                answer(self, {"results": listed, "next": None} if is_list else job)

        super().__init__(Handler)
        self.url = f"http://127.0.0.1:{self.port}"


def answer(handler: QuietHandler, content: dict[str, Any]) -> None:
    body = json.dumps(content).encode()
    handler.send_response(200)
    handler.send_header("content-length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_client_does_not_submit_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_client, "PAUSE_S", 0.0)
    with contextlib.closing(Api()) as api:
        job = ServiceClient(api.url, "key").run(PHOTO, INPUTS)
    assert (job.id, job.photo, job.adopted) == ("j1", "f1", True)
    assert len(api.submitted) == 1
