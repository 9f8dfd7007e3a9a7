"""failed.csv: the photos of a batch that have failed."""

from __future__ import annotations

import csv
import io
from collections.abc import Container

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
        writer.writerow([name, errors[name]["code"], with_flags(errors[name]["message"])])
    target.write(FAILED_NAME, text.getvalue().encode(errors="surrogateescape"))
    return len(errors)
