"""Shell commands that download weights while a container image is built."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from pathlib import Path

from restore.models.catalog import Catalog, Checkpoint


def bake_commands(
    catalog: Catalog, tasks: Iterable[str], folder: str = "/opt/weights"
) -> list[str]:
    """Return one shell line per checkpoint, for `build.run` in cog.yaml.

    A line tries the mirrors in order until a file has the right checksum; if none has, it fails.
    Members of zip archives are not included, because a shell cannot read one file out of a remote
    zip: they are downloaded in setup.

    Args:
        catalog: the manifest.
        tasks: catalog tasks whose checkpoints are downloaded.
        folder: where the files go; the container needs RESTORE_WEIGHTS_DIR with this value.
    """
    wanted = set(tasks)
    rows = [row for row in catalog.rows if row.task in wanted and row.urls and row.archive is None]
    return [_bake_command(row, f"{folder}/{row.task}/{row.file}") for row in rows]


def _bake_command(row: Checkpoint, path: str) -> str:
    target = shlex.quote(path)
    if row.sha256:
        check = f"echo {shlex.quote(f'{row.sha256}  {path}')} | sha256sum -c -"
    else:
        check = f'test "$(stat -c %s {target})" = {row.bytes}' if row.bytes else f"test -s {target}"
    fetches = (
        f"curl -fSL --retry 5 --retry-all-errors -C - -o {target} {shlex.quote(url)} && {check}"
        for url in row.urls
    )
    attempts = f" || {{ rm -f {target}; false; }} || ".join(f"{{ {fetch}; }}" for fetch in fetches)
    return f"mkdir -p {shlex.quote(str(Path(path).parent))} && {{ {attempts}; }}"
