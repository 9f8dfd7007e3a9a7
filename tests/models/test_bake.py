"""Tests of the shell commands that download weights in a container build."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from fileserver import FileServer
from weightrows import BODY, OTHER, row

from restore.models.bake import bake_commands
from restore.models.catalog import Catalog, Checkpoint

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def command_for(checkpoint: Checkpoint, folder: Path) -> str:
    (command,) = bake_commands(Catalog((checkpoint,), folder), ("upscale",), str(folder))
    return command


def run_shell(command: str) -> int:
    """Run a shell command; return its exit code."""
    return subprocess.run(["sh", "-c", command], capture_output=True, check=False).returncode


def test_commands_of_the_shipped_manifest() -> None:
    commands = bake_commands(Catalog.load(), ["restore", "old_photo_restore"])
    assert len(commands) == 2
    assert all("\n" not in command for command in commands)
    drive = "https://drive.usercontent.google.com/download"
    assert (
        f"'{drive}?id=14Fht1QQJ2gMlk4N1ERCRuElg8JfjrWWR&export=download&confirm=t'" in commands[0]
    )
    assert "/opt/weights/restore/NAFNet-SIDD-width64.pth" in commands[0]


@needs_curl
@pytest.mark.parametrize(("first", "requests"), [(BODY, 1), (OTHER, 2)])
def test_first_mirror_with_right_content_is_used(
    server: FileServer, tmp_path: Path, first: bytes, requests: int
) -> None:
    checkpoint = row("a", server.add("a", first), server.add("b", BODY))
    assert run_shell(command_for(checkpoint, tmp_path)) == 0
    assert (tmp_path / "upscale" / "a.pth").read_bytes() == BODY
    assert len(server.log) == requests


@needs_curl
@pytest.mark.parametrize("facts", [{}, {"sha256": None}, {"bytes": None}])
def test_wrong_content_fails_the_build(
    server: FileServer, tmp_path: Path, facts: dict[str, Any]
) -> None:
    checkpoint = row("a", server.add("a", OTHER[:-1]), **facts)
    assert run_shell(command_for(checkpoint, tmp_path)) != 0
