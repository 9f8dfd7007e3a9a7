"""Shell commands that download weights while a container image is built."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from restore.models.catalog import Catalog, Checkpoint
from restore.models.row_download import last_part

MAX_ZIP_ATTEMPTS = 20
"""GitHub interrupts long downloads; each attempt resumes the one before."""
EXTRACT = (
    "import pathlib, sys, zipfile; archive = zipfile.ZipFile(sys.argv[1]); "
    "[pathlib.Path(target).write_bytes(archive.read(member)) "
    "for member, target in zip(sys.argv[2::2], sys.argv[3::2])]"
)
"""Python program that extracts pairs of member and target from a zip, and checks their CRC-32."""


def bake_commands(
    catalog: Catalog, tasks: Iterable[str], folder: str = "/opt/weights"
) -> list[str]:
    """Return the shell lines for `build.run` in cog.yaml: one per checkpoint, one per zip.

    The line of a checkpoint tries its mirrors in order until a file has the right checksum. That
    of a zip downloads it, extracts the members of all its rows, checks them and deletes the zip. A
    line fails if a file is missing or wrong.

    Args:
        catalog: the manifest.
        tasks: catalog tasks whose checkpoints are downloaded.
        folder: where the files go; the container needs RESTORE_WEIGHTS_DIR with this value.
    """
    wanted = set(tasks)
    rows = [row for row in catalog.rows if row.task in wanted and not row.embedded]
    commands = []
    for archive, members in groupby(rows, key=lambda row: row.archive):
        if archive is None:
            commands += [_file_command(row, _path_in(folder, row)) for row in members]
        else:
            commands.append(_zip_command(archive, list(members), folder))
    return commands


def _file_command(row: Checkpoint, path: str) -> str:
    target, check = shlex.quote(path), _check(row, path)
    fetches = (
        f"curl -fSL --retry 5 --retry-all-errors -C - -o {target} {shlex.quote(url)} && {check}"
        for url in row.urls
    )
    attempts = f" || {{ rm -f {target}; false; }} || ".join(f"{{ {fetch}; }}" for fetch in fetches)
    return f"mkdir -p {shlex.quote(str(Path(path).parent))} && {{ {attempts}; }}"


def _zip_command(archive: str, rows: list[Checkpoint], folder: str) -> str:
    """Return the line for one zip. The rows of a zip belong to one task, and so to one folder."""
    (task,) = {row.task for row in rows}
    target_folder, zip_name = shlex.quote(f"{folder}/{task}"), shlex.quote(last_part(archive))
    members = " ".join(f"{shlex.quote(str(row.member))} {shlex.quote(row.file)}" for row in rows)
    checks = " && ".join(_check(row, row.file) for row in rows)
    download = (
        f"n=0; until curl -fSL -C - -o {zip_name} {shlex.quote(archive)}; do "
        f"n=$((n+1)); test $n -lt {MAX_ZIP_ATTEMPTS} || exit 1; sleep 2; done"
    )
    return (
        f"mkdir -p {target_folder} && cd {target_folder} && {{ {download}; }} && "
        f"python3 -c {shlex.quote(EXTRACT)} {zip_name} {members} && {checks} && rm {zip_name}"
    )


def _check(row: Checkpoint, path: str) -> str:
    """Return the command that fails unless the file at `path` is the row's."""
    if row.sha256:
        return f"echo {shlex.quote(f'{row.sha256}  {path}')} | sha256sum -c -"
    target = shlex.quote(path)
    return f'test "$(stat -c %s {target})" = {row.bytes}' if row.bytes else f"test -s {target}"


def _path_in(folder: str, row: Checkpoint) -> str:
    return f"{folder}/{row.task}/{row.file}"
