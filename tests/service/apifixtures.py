"""Fixtures for the tests of the HTTP API of the job service."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apicalls import Api

from restore.service.service import Service
from restore.service.settings import Settings


@pytest.fixture
def api_of(tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Return a function that makes the API of a service without workers, from its settings."""
    services: list[Service] = []

    def build(**settings: Any) -> Api:
        services.append(Service(Settings(data=tmp_path / "data", workers=0, **settings)))
        return Api(services[-1])

    yield build
    for service in services:
        service.engine.dispose()


@pytest.fixture
def api(api_of: Callable[..., Api]) -> Api:
    """The API of a service without keys and workers."""
    return api_of()
