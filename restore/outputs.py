"""Where results are written: unique names in the order of the request, all of them or none, and old ones cleared away."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from restore.errors import Code, RestoreError
from restore.options import OutputOptions
from restore.photo import Photo, encode, write_atomically
from restore.report import Report

SERVED_FOLDER = f"restore-outputs-{os.getuid()}"
SERVED_FOR_S = 600.0


def save_all(photos: Sequence[Photo], reports: Sequence[Report], output: OutputOptions, folder: Path, prefix: str = "") -> list[Path]:
    """Encodes every photo, then writes them as `<prefix><n>-<name>.<format>`; if one cannot be written, none stays.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE, naming the folder.
    """
    encoded = []
    for photo, report in zip(photos, reports, strict=True):
        with report.stage("encode"):
            data, warnings = encode(photo, output.output_format, output.output_quality, keep_gps=output.keep_gps)
        for warning in warnings:
            report.warn(warning)
        report.output = {"format": output.output_format, "width": photo.width, "height": photo.height, "bytes": len(data)}
        encoded.append(data)
    written: list[Path] = []
    try:
        make_folder(folder)
        for index, (photo, data) in enumerate(zip(photos, encoded, strict=True), start=1):
            path = folder / f"{prefix}{index}-{_stem(photo.name)}.{output.output_format}"
            write_atomically(data, path)
            written.append(path)
    except RestoreError:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def make_folder(folder: Path) -> None:
    """Creates an output folder.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = f"the output folder '{folder}' cannot be made ({error.strerror})"
        raise RestoreError(Code.OUTPUT_UNWRITABLE, reason, "Name a folder that you may write to.") from error


def require_writable(folder: Path) -> None:
    """Finds out, before minutes of work and without making it, whether an output folder can be written to.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    nearest = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        reason = f"the output folder '{folder}' cannot be written to ('{nearest}' is no folder that you may write to)"
        raise RestoreError(Code.OUTPUT_UNWRITABLE, reason, "Name a folder that you may write to.")


def served_folder(now_s: float | None = None) -> Path:
    """A new folder for one served request, after removing those older than `SERVED_FOR_S`.

    Cog reads outputs after predict() has returned and never deletes them: only what is old enough to have been read may go.
    """
    root = Path(tempfile.gettempdir()) / SERVED_FOLDER
    folder = root / uuid.uuid4().hex
    make_folder(folder)
    oldest_s = (time.time() if now_s is None else now_s) - SERVED_FOR_S
    for old in root.iterdir():
        try:
            expired = old.stat().st_mtime < oldest_s
        except FileNotFoundError:  # another worker cleared it first
            continue
        if expired:
            shutil.rmtree(old, ignore_errors=True)
    return folder


def _stem(name: str) -> str:
    """A file name's stem without anything a path or a shell could trip over."""
    return re.sub(r"[^\w.-]+", "_", Path(name).stem).strip("._") or "photo"
