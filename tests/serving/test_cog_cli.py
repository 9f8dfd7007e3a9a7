"""Tests of restore.serving.cog_cli: traces of the container of `cog predict`."""

import os
from pathlib import Path

import pytest

from restore.serving import cog_cli
from restore.serving.cog_cli import serves_cog_cli

ENVIRONMENT = {"LOG_FORMAT": "console", "COG_LOG_LEVEL": "warning"}


@pytest.fixture
def container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make this process look like the worker in the container of `cog predict`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mark").touch()
    monkeypatch.setattr(cog_cli, "CONTAINER_MARK", tmp_path / "mark")
    monkeypatch.setattr(cog_cli, "WORKING_DIRECTORY", tmp_path)
    monkeypatch.setattr(os.path, "ismount", lambda path: path == tmp_path)
    return tmp_path


@pytest.mark.parametrize("level", ["warning", "debug"])
def test_container_of_cog_predict_is_recognised(container: Path, level: str) -> None:
    assert serves_cog_cli({**ENVIRONMENT, "COG_LOG_LEVEL": level})


def test_server_is_not_taken_for_cog_predict(
    container: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ENVIRONMENT:
        assert not serves_cog_cli({key: ENVIRONMENT[key] for key in ENVIRONMENT if key != name})
    assert not serves_cog_cli({**ENVIRONMENT, "COG_LOG_LEVEL": "info"})
    arguments = ["python", "-m", "cog.server.http", "--await-explicit-shutdown", "true"]
    with monkeypatch.context() as patch:
        patch.setattr(cog_cli, "_arguments_of", lambda process: arguments)
        assert not serves_cog_cli(ENVIRONMENT), "cog serve"
    with monkeypatch.context() as patch:
        patch.setattr(os.path, "ismount", lambda path: False)
        assert not serves_cog_cli(ENVIRONMENT), "the project is part of the image"
    (container / "mark").unlink()
    assert not serves_cog_cli(ENVIRONMENT), "no container"


def test_server_without_docker_is_not_taken_for_cog_predict() -> None:
    assert not serves_cog_cli(ENVIRONMENT)
