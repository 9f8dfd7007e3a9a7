"""A gateway is killed with SIGKILL at each stage of a job; the next one finishes the job once."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from killedgateway import STAGES
from servicejobs import LEASE_S, events

from restore.service import cleaner, database, gateways
from restore.service.cleaner import Cleaner
from restore.service.files import FileStore
from restore.service.jobs import JobStore
from restore.service.records import Status
from restore.service.settings import Settings

SCRIPT = Path(__file__).with_name("killedgateway.py")
PROJECT = SCRIPT.parents[2]
ACCEPTED = STAGES[STAGES.index("accepted") :]
ENDED = ("succeeded",)

Server = subprocess.Popen[str]


@pytest.fixture(scope="module")
def gateways_to_kill() -> Iterator[Server]:
    with subprocess.Popen(
        [sys.executable, SCRIPT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    ) as server:
        yield server


def kill_at(server: Server, settings: Settings, stage: str) -> str:
    """Run a gateway until it is killed at a stage, and return the id of the accepted job."""
    assert server.stdin
    assert server.stdout
    request = [str(settings.data), settings.database_url, stage]
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    job_id, ended_by = json.loads(server.stdout.readline())
    assert ended_by == signal.SIGKILL
    return str(job_id)


TRANSACTIONS = ("submitting", "claiming", "claimed", "recording the result")
"""Stages at which PostgreSQL has to undo or keep a transaction; the others only with --slow."""


@pytest.mark.parametrize(
    ("database_settings", "stage"),
    [
        *(("sqlite", stage) for stage in STAGES),
        *(("postgresql", stage) for stage in TRANSACTIONS),
        *(
            pytest.param("postgresql", stage, marks=pytest.mark.slow)
            for stage in STAGES
            if stage not in TRANSACTIONS
        ),
    ],
    indirect=["database_settings"],
)
def test_accepted_job_is_finished_once(
    gateways_to_kill: Server,
    database_settings: Settings,
    stage: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job_id = kill_at(gateways_to_kill, database_settings, stage)
    assert bool(job_id) == (stage in ACCEPTED)
    engine = database.connect(database_settings)
    jobs, files = JobStore(engine), FileStore(engine, database_settings)
    with gateways.joined(jobs, database_settings.data) as gateway:
        assert [other.id for other in gateways.all_gateways(engine)] == [gateway.id]
        finished = 0
        while job := jobs.claim("w", gateway.id, LEASE_S):
            assert job.id == job_id
            assert job.attempt == (1 if stage in {"accepted", "claiming"} else 2)
            result = files.save_bytes(
                b"finished", owner="", name="r", content_type="image/png", job_id=job_id
            )
            assert jobs.succeed(job_id, job.attempt, output=[f"file:{result.id}"])
            finished += 1
    found = jobs.list(None).jobs
    assert finished == (stage in ACCEPTED and stage not in ENDED)
    assert [job.id for job in found] == ([job_id] if job_id else [])
    if job_id:
        (job,) = found
        assert job.status is Status.SUCCEEDED
        assert job.output is not None
        (output,) = (files.get(each.removeprefix("file:")) for each in job.output)
        assert output is not None
        assert files.read_bytes(output) == (b"killed" if stage in ENDED else b"finished")
        assert [name for name in events(engine, job_id) if name != "logs"] == [
            "start",
            "output",
            "completed",
        ]
    assert_only_recorded_files_remain(files, jobs, database_settings, monkeypatch)
    engine.dispose()


def assert_only_recorded_files_remain(
    files: FileStore, jobs: JobStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each recorded file is complete, and the cleaner removes what the killed process left."""
    monkeypatch.setattr(cleaner, "LEFTOVER_AFTER_S", -60.0)
    Cleaner(jobs, files, settings).clean()
    paths = [path for folder in (files.uploads, files.results) for path in folder.glob("??/*")]
    for path in paths:
        file = files.get(path.name)
        assert file is not None
        assert path.stat().st_size == file.size
