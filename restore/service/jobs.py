"""The durable queue and the records of all jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
)

from restore.errors import Code, RestoreError
from restore.service import database, job_files, outbox, transitions
from restore.service.job_changes import Addition, JobChanges
from restore.service.job_reads import unended
from restore.service.job_rows import new_values
from restore.service.records import Job, NewJob, Renewal, Status
from restore.service.tables import jobs

_INSERT = insert(jobs).inline()
_OLDEST = (
    select(jobs)
    .where(jobs.c.status == Status.STARTING)
    .order_by(jobs.c.sequence)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_COUNTS = select(
    func.count(), func.coalesce(func.sum(case((jobs.c.owner == bindparam("owner"), 1), else_=0)), 0)
).where(unended())


class JobStore(JobChanges):
    """All jobs of a database. The methods block; call them from threads.

    The arguments are those of JobChanges.
    """

    def submit(
        self,
        new: NewJob,
        *,
        max_waiting: int | None = None,
        max_waiting_of_owner: int | None = None,
        durable: bool = True,
        also: Addition | None = None,
    ) -> Job:
        """Add a job to the end of the queue, and link it to the stored files of its input.

        Args:
            max_waiting, max_waiting_of_owner: limits of the jobs that have not ended.
            durable: as of `database.write`; if not, call `database.flush` before somebody is told
                that the job was accepted.
            also: what else belongs to the transaction, such as the records of new photos.

        Raises:
            RestoreError: QUEUE_FULL if so many jobs, or jobs of this owner, have not ended yet;
                PHOTO_MISSING if a file of the input does not exist or has another owner.
        """
        with database.write(self.engine, durable=durable) as connection:
            _check_limits(connection, new.owner, max_waiting, max_waiting_of_owner)
            if also is not None:
                also(connection)
            job = Job(**vars(new), created_at=database.now(connection))
            connection.execute(_INSERT, new_values(job))
            job_files.link_inputs(connection, new)
        self.tell(job)
        return job

    def claim(self, worker: str, gateway: str, lease_s: float) -> Job | None:
        """Give the oldest waiting job to a worker, for a time.

        Returns:
            The job with its new `attempt`, which all further calls for it name; None if no job
            waits.
        """
        with database.write(self.engine, durable=False) as connection:
            row = connection.execute(_OLDEST).one_or_none()
            if row is None:
                return None
            now = database.now(connection)
            give = partial(
                transitions.claim,
                worker=worker,
                gateway=gateway,
                now=now,
                lease_until=now + timedelta(seconds=lease_s),
            )
            job = self.change_row(connection, row, lambda job, _: give(job))
        if job is not None:
            self.tell(job)
        return job

    def renew(self, job_id: str, attempt: int, lease_s: float) -> Renewal:
        """Extend the claim of an attempt; see Renewal for what the worker has to do."""
        lease = timedelta(seconds=lease_s)
        job = self.change(
            job_id,
            lambda job, now: transitions.renew(job, attempt, lease_until=now + lease),
            durable=False,
        )
        if job is None:
            return Renewal.LOST
        return Renewal.CANCEL if job.cancel_requested else Renewal.KEEP

    def add_logs(self, job_id: str, attempt: int, text: str) -> bool:
        """Append complete lines to the logs of a running job; False if the claim is lost."""
        add = partial(transitions.add_logs, attempt=attempt, text=text)
        return self.change(job_id, lambda job, _: add(job), durable=False) is not None

    def succeed(
        self,
        job_id: str,
        attempt: int,
        *,
        output: Sequence[str],
        reports: Sequence[Mapping[str, Any]] = (),
        predict_s: float | None = None,
        logs: str | None = None,
        also: Addition | None = None,
    ) -> bool:
        """End a running job with its results.

        Args:
            output: `file:ID` of each result.
            logs: complete logs of the attempt; None keeps those of `add_logs`.
            also: what else belongs to the transaction, such as the records of the results.

        Returns:
            False if the claim of the attempt is lost. Then nothing was changed.
        """
        end = partial(
            transitions.succeed,
            attempt=attempt,
            output=output,
            reports=reports,
            predict_s=predict_s,
            logs=logs,
        )
        return self.change(job_id, lambda job, now: end(job, now=now), also=also) is not None

    def fail(
        self,
        job_id: str,
        attempt: int,
        error: str,
        *,
        predict_s: float | None = None,
        logs: str | None = None,
    ) -> bool:
        """End a running job with an error; False if the claim is lost."""
        end = partial(
            transitions.fail, attempt=attempt, error=error, predict_s=predict_s, logs=logs
        )
        return self.change(job_id, lambda job, now: end(job, now=now)) is not None

    def cancelled(self, job_id: str, attempt: int, *, logs: str | None = None) -> bool:
        """End a running job whose worker has stopped; False if the claim is lost."""
        end = partial(transitions.cancelled, attempt=attempt, logs=logs)
        return self.change(job_id, lambda job, now: end(job, now=now)) is not None

    def release(self, job_id: str, attempt: int, *, worker_died: bool, error: str) -> Job | None:
        """Return a running job to the queue; see `transitions.release`.

        Returns:
            The job, which waits again, or has failed or been cancelled; None if the claim is lost.
        """
        back = partial(transitions.release, attempt=attempt, worker_died=worker_died, error=error)
        return self.change(job_id, lambda job, now: back(job, now=now))

    def cancel(self, job_id: str, owner: str | None = None) -> Job | None:
        """Cancel a waiting job at once, or ask the worker of a running one to stop.

        Returns:
            The job, changed or not; None if it does not exist or has another owner.
        """
        if self.get(job_id, owner) is None:
            return None
        changed = self.change(job_id, lambda job, now: transitions.request_cancel(job, now=now))
        return changed or self.get(job_id, owner)

    def recover(self, gateway: str | None = None) -> int:
        """Release the running jobs that nobody works on any more.

        Args:
            gateway: id of a gateway that has ended; None means all whose lease has expired.

        Returns:
            Number of released jobs.
        """
        if gateway is None:
            error = "its worker did not report in time"
        else:
            error = "the gateway of its worker has ended"

        def is_lost(job: Job, now: datetime) -> bool:
            expired = job.lease_until is not None and job.lease_until < now
            return expired if gateway is None else job.gateway == gateway

        def release(job: Job, now: datetime) -> Job | None:
            if not is_lost(job, now):
                return None
            return transitions.release(job, job.attempt, worker_died=False, error=error, now=now)

        with database.read(self.engine) as connection:
            mine = jobs.c.gateway == gateway
            late = jobs.c.lease_until < database.now(connection)
            lost = late if gateway is None else mine
            found = _ids(connection, jobs.c.status == Status.PROCESSING, lost)
        return sum(self.change(job_id, release) is not None for job_id in found)

    def expire_deadlines(self) -> list[Job]:
        """Cancel the jobs whose deadline has passed, as `cancel` does, and return them."""
        with database.read(self.engine) as connection:
            passed = jobs.c.deadline < database.now(connection)
            waits = or_(jobs.c.status == Status.STARTING, jobs.c.cancel_requested.is_(False))
            found = _ids(connection, unended(), passed, waits)
        changed = (
            self.change(job_id, lambda job, now: transitions.request_cancel(job, now=now))
            for job_id in found
        )
        return [job for job in changed if job is not None]

    def remove_data(self, ended_before: datetime, *, limit: int) -> int:
        """Forget inputs and results of jobs that ended before a time, oldest first.

        Returns:
            Number of jobs, at most `limit`.
        """
        with database.read(self.engine) as connection:
            old = jobs.c.removed.is_(False), jobs.c.completed_at < ended_before
            found = _ids(connection, *old)[:limit]
        for job_id in found:
            with database.write(self.engine) as connection:
                self.change_in(connection, job_id, lambda job, _: transitions.remove_data(job))
                job_files.unlink_job(connection, job_id)
                outbox.remove_ended(connection, job_id)
        return len(found)

    def delete_records(self, ended_before: datetime) -> int:
        """Delete the records of jobs without data that ended before a time.

        Returns:
            Number of jobs.
        """
        old = jobs.c.removed.is_(True), jobs.c.completed_at < ended_before
        with database.write(self.engine) as connection:
            return connection.execute(delete(jobs).where(*old)).rowcount


def _ids(connection: Connection, *conditions: ColumnElement[bool]) -> list[str]:
    query = select(jobs.c.id).where(*conditions).order_by(jobs.c.sequence)
    return list(connection.execute(query).scalars())


def _check_limits(
    connection: Connection, owner: str, waiting: int | None, of_owner: int | None
) -> None:
    if waiting is None and of_owner is None:
        return
    # Concurrent submissions would not see each other's jobs.
    database.exclude_others(connection, database.Lock.SUBMIT)
    found = connection.execute(_COUNTS, {"owner": owner}).one()
    if waiting is not None and found[0] >= waiting:
        raise _queue_full(f"{waiting} jobs are waiting or running, which is the limit")
    if of_owner is not None and found[1] >= of_owner:
        raise _queue_full(f"{of_owner} of your jobs are waiting or running, which is your limit")


def _queue_full(reason: str) -> RestoreError:
    return RestoreError(Code.QUEUE_FULL, reason, "Try again when some of them have ended.")
