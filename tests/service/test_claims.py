"""Concurrent claims by threads and processes give each job to one worker."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from claimers import claim_all
from servicejobs import BOTH, new_job
from sqlalchemy import Engine

from restore.errors import Code, RestoreError
from restore.service.jobs import JobStore
from restore.service.records import Status
from restore.service.settings import Settings

SCRIPT = Path(__file__).with_name("claimers.py")
PROJECT = SCRIPT.parents[2]
THREADS, JOBS = 4, 40

pytestmark = BOTH


def test_eight_threads_of_two_processes_get_each_job_once(
    engine: Engine, database_settings: Settings
) -> None:
    jobs = JobStore(engine)
    url = database_settings.database_url or ""
    other = subprocess.Popen(
        [sys.executable, str(SCRIPT), str(database_settings.data), url, str(THREADS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert other.stdin
    assert other.stdout
    submitted = {jobs.submit(new_job()).id for _ in range(JOBS)}
    assert other.stdout.readline() == "ready\n"
    other.stdin.write("go\n")
    other.stdin.flush()
    with ThreadPoolExecutor(THREADS) as pool:
        workers = (f"worker {number}" for number in range(THREADS))
        mine = [job_id for ids in pool.map(partial(claim_all, jobs), workers) for job_id in ids]
    theirs = other.communicate()[0].split()
    assert other.returncode == 0
    assert len(mine + theirs) == JOBS
    assert set(mine + theirs) == submitted
    assert jobs.counts()[Status.SUCCEEDED] == JOBS
    assert {job.attempt for job in jobs.list(None, limit=JOBS).jobs} == {1}


def test_threads_submit_while_others_claim(engine: Engine) -> None:
    jobs = JobStore(engine)
    with ThreadPoolExecutor(8) as pool:
        submitting = [pool.submit(jobs.submit, new_job()) for _ in range(40)]
        claiming = [pool.submit(claim_all, jobs, f"worker {n}") for n in range(4)]
        ids = [future.result().id for future in submitting]
        early = [job_id for future in claiming for job_id in future.result()]
    rest = claim_all(jobs, "last")
    assert sorted(early + rest) == sorted(ids)


def test_limit_of_waiting_jobs_holds_for_concurrent_requests(engine: Engine) -> None:
    jobs = JobStore(engine)

    def submit(_: int) -> Code | None:
        try:
            jobs.submit(new_job(), max_waiting=5)
        except RestoreError as error:
            return error.code
        return None

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(submit, range(16)))
    assert sorted(results, key=str) == [Code.QUEUE_FULL] * 11 + [None] * 5
    assert jobs.counts()[Status.STARTING] == 5


def test_cancelling_and_claiming_at_the_same_time(engine: Engine) -> None:
    """A cancelled job is either never given to a worker, or its worker is asked to stop."""
    jobs = JobStore(engine)
    with ThreadPoolExecutor(8) as pool:
        submitted = list(pool.map(jobs.submit, (new_job() for _ in range(20))))
        claiming = [pool.submit(jobs.claim, "w", "g", 60.0) for _ in range(20)]
        cancelling = [pool.submit(jobs.cancel, job.id) for job in submitted]
        claimed = {job.id for future in claiming if (job := future.result())}
        assert all(future.result() for future in cancelling)
    for job in jobs.list(None).jobs:
        if job.id in claimed:
            assert (job.status, job.cancel_requested, job.attempt) == ("processing", True, 1)
        else:
            assert (job.status, job.attempt) == ("canceled", 0)
