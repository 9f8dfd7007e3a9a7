"""Tests of restore.serving.launcher and of the folder that the server runs in.

tests/contract starts real servers.
"""

import socket
import subprocess
from pathlib import Path

import platformdirs
import pytest

from restore.errors import Code, RestoreError
from restore.serving import cog_process, folder, launcher
from restore.serving.folder import server_folder
from restore.serving.launcher import running


def test_port_in_use_is_reported_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", None)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(RestoreError, match=f"port {port}") as caught, running(port):
            pass
    assert caught.value.code is Code.SERVER


def test_server_of_a_checkout_runs_in_the_checkout() -> None:
    assert server_folder() == Path(__file__).resolve().parents[2]


def test_server_of_an_installed_package_runs_in_the_cache_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "PROJECT", tmp_path / "site-packages")
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda name: tmp_path / "cache" / name)
    assert server_folder() == tmp_path / "cache" / "restore" / "server"


def test_predictor_and_schema_are_written_for_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []
    for module in (launcher, cog_process):
        monkeypatch.setattr(module, "server_folder", lambda: tmp_path / "server")
    monkeypatch.setattr(subprocess, "Popen", lambda command, *, cwd, **_: started.append(cwd))
    launcher.start("127.0.0.1", 0)
    assert started == [tmp_path / "server"]
    files = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {Path("server/predict.py"), Path("server/.cog/openapi_schema.json")}


def test_folder_that_is_not_writable_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(cog_process, "server_folder", lambda: tmp_path / "file" / "server")
    with pytest.raises(
        RestoreError, match=r"the folder of the server, .*cannot be written"
    ) as caught:
        launcher.start("127.0.0.1", 0)
    assert caught.value.code is Code.SERVER
