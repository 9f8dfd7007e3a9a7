"""failed.csv: the photos of a batch that have failed."""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Mapping
from pathlib import PurePosixPath

from restore.batch.folder import Folder
from restore.batch.manifest import FAILED, Manifest, read_rows
from restore.options.flags import with_flags

FAILED_NAME = "failed.csv"


def write_failures(
    source: Folder, target: Folder, manifest: Manifest, listed: Container[str] = ()
) -> int:
    """Write the photos whose last row says that they failed, with code and message.

    The messages name options as flags, because a batch is started on the command line. Photos that
    have been removed from the input folder are left out.

    Args:
        source: the input folder.
        target: the output folder.
        manifest: its manifest, with all rows written.
        listed: names of photos that are known to exist in the input folder.

    Returns:
        Their number. Without any, an older file is replaced by one without rows.

    Raises:
        OSError: the file cannot be written.
    """
    failed = {
        name: known.finished
        for name, known in manifest.known.items()
        if known.status == FAILED and (name in listed or source.exists(name))
    }
    if not failed and not target.exists(FAILED_NAME):
        return 0
    errors = {
        row["input"]: row["error"]
        for row in (read_rows(target) if failed else ())
        if failed.get(row["input"]) == row["finished"]
    }
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["photo", "code", "message"])
    for name in sorted(errors):
        writer.writerow([name, errors[name]["code"], own_message(name, errors[name])])
    target.write(FAILED_NAME, text.getvalue().encode(errors="surrogateescape"))
    return len(errors)


def own_message(name: str, error: Mapping[str, str]) -> str:
    """Return the message of a failure without its code and photo, which are shown beside it.

    Args:
        name: path of the photo relative to the input folder.
        error: code and message, as in a row.
    """
    text = error.get("message", "").removeprefix(f"[{error.get('code', '')}] ")
    for photo in (name, PurePosixPath(name).name):
        text = text.removeprefix(f"photo '{photo}': ")
    return with_flags(text)
