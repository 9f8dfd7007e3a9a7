"""Fixtures for the tests of the job service. Those of the HTTP API are in apifixtures.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from apifixtures import api, api_of  # noqa: F401 - fixtures
from sqlalchemy import Engine

from restore.service import database
from restore.service.jobs import JobStore
from restore.service.settings import Settings


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A database."""
    engine = database.connect(Settings(data=tmp_path / "data"))
    yield engine
    engine.dispose()


@pytest.fixture
def jobs(engine: Engine) -> JobStore:
    """The jobs of a database."""
    return JobStore(engine)
