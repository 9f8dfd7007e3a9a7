"""The tables of the service, for SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = 1
"""Changes with every change of a table; `database.connect` refuses a database of another one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Utc(TypeDecorator[datetime]):
    """Stores an aware datetime as microseconds since 1970.

    SQLite has no type for times with a zone, and integers sort the same way on both databases.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        del dialect
        return None if value is None else (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else _EPOCH + value * _MICROSECOND


def _json() -> JSON:
    return JSON(none_as_null=True)


def _sequence() -> Column[int]:
    """A number that grows with every row and is never used again."""
    kind = BigInteger().with_variant(Integer, "sqlite")
    return Column("sequence", kind, primary_key=True, autoincrement=True)


metadata = MetaData()

schema = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

jobs = Table(
    "jobs",
    metadata,
    _sequence(),
    Column("id", String(32), nullable=False, unique=True),
    Column("owner", String(64), nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("input", _json(), nullable=False),
    Column("filenames", _json(), nullable=False),
    Column("webhook", Text),
    Column("webhook_events", _json(), nullable=False),
    Column("deadline", Utc, index=True),
    Column("status", String(16), nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("output", _json()),
    Column("reports", _json()),
    Column("logs", Text, nullable=False),
    Column("error", Text),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("worker", Text),
    Column("gateway", String(32)),
    Column("lease_until", Utc),
    Column("created_at", Utc, nullable=False),
    Column("started_at", Utc),
    Column("completed_at", Utc),
    Column("predict_s", Float),
    Column("removed", Boolean, nullable=False),
    Index("jobs_by_status", "status", "sequence"),
    Index("jobs_by_owner", "owner", "sequence"),
    Index("jobs_by_end", "removed", "completed_at"),
    sqlite_autoincrement=True,
)

files = Table(
    "files",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False, index=True),
    # The job that made the file. No foreign key, because a file may outlive its job.
    Column("job_id", String(32), index=True),
    Column("name", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("expires_at", Utc, nullable=False, index=True),
)

# The files that a job uses. The foreign key keeps the cleaner from a file that was just taken.
job_files = Table(
    "job_files",
    metadata,
    Column("job_id", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("file_id", String(32), ForeignKey("files.id"), primary_key=True, index=True),
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("requests_per_minute", Integer),
    Column("waiting_jobs", Integer),
    Column("stored_bytes", BigInteger),
    Column("revoked_at", Utc),
)

deliveries = Table(
    "deliveries",
    metadata,
    _sequence(),
    Column("id", String(32), nullable=False, unique=True),
    Column("job_id", String(32), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("url", Text, nullable=False),
    Column("event", String(16), nullable=False),
    Column("snapshot", _json(), nullable=False),
    Column("body", Text),
    Column("created_at", Utc, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_at", Utc, nullable=False),
    Column("claimed_until", Utc),
    Column("ended_at", Utc),
    Column("delivered", Boolean, nullable=False),
    Column("last_error", Text),
    Index("deliveries_by_job", "job_id", "sequence"),
    Index("deliveries_due", "ended_at", "next_attempt_at"),
    sqlite_autoincrement=True,
)

gateways = Table(
    "gateways",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
)
