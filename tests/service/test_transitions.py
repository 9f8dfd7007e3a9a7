"""Tests of the state machine: each job ends exactly once, in any order of calls, on both databases.

`QueueMachine` makes random calls, valid and late ones, and compares the stored jobs with a model
that has a few lines per call.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from servicefixtures import empty
from servicejobs import BOTH, LEASE_S, events, new_job, set_back
from sqlalchemy import Engine

from restore.service import tables, transitions
from restore.service.jobs import JobStore
from restore.service.records import MAX_ATTEMPTS, MAX_FAILURES, Job, Renewal, Status

OWNERS = ("anna", "berta")
HOOK = "https://example.org/hook"


@dataclass
class Expected:
    """What the model knows of a job."""

    owner: str
    status: Status = Status.STARTING
    attempt: int = 0
    failures: int = 0
    cancel: bool = False
    late: bool = False
    gateway: str | None = None
    ends: int = 0
    outputs: list[str] = field(default_factory=list)

    def end(self, status: Status) -> None:
        self.status = status
        self.ends += 1


class QueueMachine(RuleBasedStateMachine):
    """Random calls of a JobStore, checked against a model."""

    engine: Engine
    ids = Bundle("ids")
    lost = st.sampled_from((0, 0, 0, 1))  # how many attempts ago the caller got the job

    def __init__(self) -> None:
        super().__init__()
        empty(self.engine)
        self.jobs = JobStore(self.engine)
        self.model: dict[str, Expected] = {}  # in the order of the queue

    def holder(self, job_id: str, lost: int) -> tuple[Expected | None, int]:
        """The job of the model if the calling attempt has it, and the number of this attempt."""
        job = self.model[job_id]
        holds = job.status is Status.PROCESSING and not lost
        return job if holds else None, job.attempt - lost

    @rule(target=ids, owner=st.sampled_from(OWNERS))
    def submit(self, owner: str) -> str:
        job = self.jobs.submit(new_job(owner, webhook=HOOK, webhook_events=("start", "completed")))
        self.model[job.id] = Expected(owner)
        return job.id

    @rule(gateway=st.sampled_from("gh"))
    def claim(self, gateway: str) -> None:
        claimed = self.jobs.claim("w", gateway, LEASE_S)
        waiting = [key for key, job in self.model.items() if job.status is Status.STARTING]
        assert (claimed.id if claimed else None) == (waiting[0] if waiting else None)
        if claimed:
            job = self.model[claimed.id]
            job.status, job.gateway, job.late = Status.PROCESSING, gateway, False
            job.attempt += 1
            assert claimed.attempt == job.attempt

    @rule(job_id=ids, lost=lost)
    def renew(self, job_id: str, lost: int) -> None:
        job, attempt = self.holder(job_id, lost)
        renewal = self.jobs.renew(job_id, attempt, LEASE_S)
        if job is None:
            assert renewal is Renewal.LOST
        else:
            job.late = False
            assert renewal is (Renewal.CANCEL if job.cancel else Renewal.KEEP)

    @rule(job_id=ids, lost=lost)
    def succeed(self, job_id: str, lost: int) -> None:
        job, attempt = self.holder(job_id, lost)
        assert self.jobs.succeed(job_id, attempt, output=[f"file:{attempt}"]) is (job is not None)
        if job:
            job.outputs.append(f"file:{attempt}")
            job.end(Status.SUCCEEDED)

    @rule(job_id=ids, lost=lost)
    def fail(self, job_id: str, lost: int) -> None:
        job, attempt = self.holder(job_id, lost)
        assert self.jobs.fail(job_id, attempt, "broken") is (job is not None)
        if job:
            job.end(Status.FAILED)

    @rule(job_id=ids, lost=lost)
    def cancelled(self, job_id: str, lost: int) -> None:
        job, attempt = self.holder(job_id, lost)
        assert self.jobs.cancelled(job_id, attempt) is (job is not None)
        if job:
            job.end(Status.CANCELED)

    @rule(job_id=ids, lost=lost, died=st.booleans())
    def release(self, job_id: str, lost: int, died: bool) -> None:
        job, attempt = self.holder(job_id, lost)
        released = self.jobs.release(job_id, attempt, worker_died=died, error="it was killed")
        assert (released is not None) is (job is not None)
        if job:
            job.failures += died
            self.give_back(job)

    def give_back(self, job: Expected) -> None:
        if job.cancel:
            job.end(Status.CANCELED)
        elif job.failures > MAX_FAILURES or job.attempt >= MAX_ATTEMPTS:
            job.end(Status.FAILED)
        else:
            job.status, job.gateway = Status.STARTING, None

    @rule(job_id=ids, owner=st.sampled_from((*OWNERS, None)))
    def cancel(self, job_id: str, owner: str | None) -> None:
        job = self.model[job_id]
        found = self.jobs.cancel(job_id, owner)
        assert (found is not None) is (owner in {None, job.owner})
        if found and job.status is Status.STARTING:
            job.end(Status.CANCELED)
        elif found and job.status is Status.PROCESSING:
            job.cancel = True

    @rule()
    def let_leases_expire(self) -> None:
        set_back(self.engine, tables.jobs, LEASE_S + 1, "lease_until")
        for job in self.model.values():
            job.late = job.status is Status.PROCESSING

    @rule(gateway=st.sampled_from((None, "g", "h")))
    def recover(self, gateway: str | None) -> None:
        running = [job for job in self.model.values() if job.status is Status.PROCESSING]
        dead = [job for job in running if (job.late if gateway is None else job.gateway == gateway)]
        assert self.jobs.recover(gateway) == len(dead)
        for job in dead:
            self.give_back(job)

    @invariant()
    def stored_jobs_equal_the_model(self) -> None:
        stored = {job.id: job for job in self.jobs.list(None, limit=1000).jobs}
        assert list(stored) == list(self.model)[::-1]
        for job_id, expected in self.model.items():
            job = stored[job_id]
            assert (job.status, job.attempt) == (expected.status, expected.attempt)
            assert (job.failures, job.cancel_requested) == (expected.failures, expected.cancel)
            assert list(job.output or ()) == expected.outputs
            assert_consistent(job)

    def teardown(self) -> None:
        for job_id, job in self.model.items():
            assert job.ends <= 1
            sent = ["start"] * (job.attempt > 0) + ["completed"] * job.ends
            assert events(self.engine, job_id) == sent


def assert_consistent(job: Job) -> None:
    """What holds for every stored job."""
    running = job.status is Status.PROCESSING
    assert (job.lease_until is not None) == running
    assert (job.completed_at is not None) == job.status.is_final
    assert (job.output is not None) == (job.status is Status.SUCCEEDED)
    assert (job.error is not None) == (job.status is Status.FAILED)
    assert (job.started_at is None) or job.attempt > 0


@BOTH
def test_each_job_ends_exactly_once(engine: Engine) -> None:
    machine = type("Machine", (QueueMachine,), {"engine": engine})
    few = settings(
        max_examples=7,
        stateful_step_count=40,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(machine, settings=few)


LIMIT = transitions.MAX_LOG_CHARACTERS


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\n"))))
def test_logs_keep_their_last_complete_lines(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    assert transitions.limited_logs(text) == text
    many = "x" * LIMIT + "\n" + text
    assert transitions.limited_logs(many) == transitions.CUT + text


@pytest.mark.parametrize(("length", "kept"), [(LIMIT, LIMIT), (LIMIT + 1, LIMIT)])
def test_logs_of_one_long_line_keep_its_end(length: int, kept: int) -> None:
    text = "a" * (length - 1) + "b"
    logs = transitions.limited_logs(text)
    assert len(logs) == kept
    assert logs.endswith("ab")
