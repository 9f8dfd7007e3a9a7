"""Conversion between jobs and rows of the table `jobs`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import Row

from restore.service.records import Job, NewJob, Status

_NAMES = tuple(column.name for column in fields(Job))
_TUPLES = frozenset({"filenames", "webhook_events", "output", "reports"})


def to_job(row: Row[Any]) -> Job:
    """Return the job of a row of the table `jobs`."""
    values = {name: _from_column(name, row._mapping[name]) for name in _NAMES}
    return Job(**values)


def new_values(new: NewJob) -> dict[str, Any]:
    """Return the columns of a new job that its request determines."""
    return {name: _to_column(value) for name, value in vars(new).items()}


def changed_values(before: Job, after: Job) -> dict[str, Any]:
    """Return the columns that differ between two states of a job."""
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in _NAMES}
    return {name: _to_column(new) for name, (old, new) in pairs.items() if old != new}


def _from_column(name: str, value: Any) -> Any:  # noqa: ANN401 - any column
    if name == "status":
        return Status(value)
    return tuple(value) if name in _TUPLES and value is not None else value


def _to_column(value: Any) -> Any:  # noqa: ANN401 - any field
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value
