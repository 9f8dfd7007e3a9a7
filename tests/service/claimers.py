"""A process that claims and ends jobs in several threads, and prints the ids of its jobs.

    python claimers.py DATA DATABASE_URL THREADS

It prints "ready", waits for a line on its input, and ends when no job waits.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from restore.service import database
from restore.service.jobs import JobStore
from restore.service.settings import Settings


def claim_all(jobs: JobStore, worker: str) -> list[str]:
    """Claim and end jobs until none waits, and return their ids."""
    ids = []
    while job := jobs.claim(worker, "g", 60.0):
        ids.append(job.id)
        assert jobs.succeed(job.id, job.attempt, output=[])
    return ids


def main(data: Path, database_url: str | None, threads: int) -> None:
    """Run the threads; see the module."""
    jobs = JobStore(database.connect(Settings(data=data, database_url=database_url)))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    workers = [f"worker {number}" for number in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        for ids in pool.map(lambda worker: claim_all(jobs, worker), workers):
            sys.stdout.writelines(f"{job_id}\n" for job_id in ids)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] or None, int(sys.argv[3]))
