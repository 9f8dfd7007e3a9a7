"""Tests of the shell commands that download weights in a container build."""

import io
import shutil
import subprocess
import zipfile
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
    assert len(commands) == 4
    assert all("\n" not in command for command in commands)
    drive = "https://drive.usercontent.google.com/download"
    assert (
        f"'{drive}?id=14Fht1QQJ2gMlk4N1ERCRuElg8JfjrWWR&export=download&confirm=t'" in commands[0]
    )
    assert "/opt/weights/restore/NAFNet-SIDD-width64.pth" in commands[0]
    assert "face_checkpoints.zip checkpoints/Setting_9_epoch_100/latest_net_G.pth " in commands[3]


class TestZips:
    def rows(self, url: str, **facts: Any) -> tuple[Checkpoint, Checkpoint]:
        return (
            row("a", archive=url, member="checkpoints/a b"),
            row("b", archive=url, member="checkpoints/b", body=OTHER, **facts),
        )

    def zip_with(self, **bodies: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("checkpoints/a b", bodies["a"])
            archive.writestr("checkpoints/b", bodies["b"])
            archive.writestr("checkpoints/optimizer", b"unwanted")
        return buffer.getvalue()

    def run(self, rows: tuple[Checkpoint, ...], folder: Path) -> int:
        (command,) = bake_commands(Catalog(rows, folder), ("upscale",), str(folder))
        return run_shell(command)

    @needs_curl
    @pytest.mark.parametrize("facts", [{}, {"sha256": None}, {"sha256": None, "bytes": None}])
    def test_members_are_extracted_and_the_zip_is_deleted(
        self, server: FileServer, tmp_path: Path, facts: dict[str, Any]
    ) -> None:
        url = server.add("x/c.zip", self.zip_with(a=BODY, b=OTHER))
        assert self.run(self.rows(url, **facts), tmp_path) == 0
        files = {path.name: path.read_bytes() for path in (tmp_path / "upscale").iterdir()}
        assert files == {"a.pth": BODY, "b.pth": OTHER}

    @needs_curl
    def test_interrupted_download_is_resumed(self, server: FileServer, tmp_path: Path) -> None:
        url = server.add("x/c.zip", self.zip_with(a=BODY, b=OTHER), cuts=[10_000])
        assert self.run(self.rows(url), tmp_path) == 0
        assert [range_header for _, range_header in server.log] == [None, "bytes=10000-"]

    @needs_curl
    def test_wrong_member_fails_the_build(self, server: FileServer, tmp_path: Path) -> None:
        url = server.add("x/c.zip", self.zip_with(a=BODY, b=BODY))
        assert self.run(self.rows(url), tmp_path) != 0

    @needs_curl
    def test_damaged_member_without_checksum_fails_the_build(
        self, server: FileServer, tmp_path: Path
    ) -> None:
        body = bytearray(self.zip_with(a=BODY, b=OTHER))
        body[-len(OTHER) // 2] ^= 1  # in the data of b
        url = server.add("x/c.zip", bytes(body))
        assert self.run(self.rows(url, sha256=None, bytes=None), tmp_path) != 0


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
