"""Where results are written: unique names in the order of the request, all of them or none, and old ones cleared away."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo, encode, write_atomically
from restore.options import OutputOptions
from restore.report import Report

SERVED_FOLDER = f"restore-outputs-{os.getuid()}"
SERVED_FOR_S = 600.0
MAX_STEM_BYTES = 180


def save_all(
    photos: Sequence[Photo],
    reports: Sequence[Report],
    output: OutputOptions,
    folder: Path,
    prefix: str = "",
    masks: Mapping[int, Photo] = MappingProxyType({}),
    *,
    with_reports: bool = False,
) -> list[Path]:
    """Encodes every photo, then writes them as `<prefix><n>-<name>.<format>`; if one cannot be written, none stays.

    Masks, by their photo's index, follow as `<prefix><n>-<name>-mask.png`. With `with_reports` each photo's report lies beside it as
    `<prefix><n>-<name>.json`.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE, naming the folder.
    """
    encoded = []
    for photo, report in zip(photos, reports, strict=True):
        with report.stage("encode"):
            data, warnings = encode(
                photo, output.output_format, output.output_quality, keep_gps=output.keep_gps
            )
        for warning in warnings:
            report.warn(warning)
        report.output = {
            "format": output.output_format,
            "width": photo.width,
            "height": photo.height,
            "bytes": len(data),
        }
        encoded.append(data)
    paths = [
        folder / f"{prefix}{n}-{_stem(photo.name)}.{output.output_format}"
        for n, photo in enumerate(photos, start=1)
    ]
    for index, mask in sorted(masks.items()):
        encoded.append(encode(mask, "png", 100)[0])
        paths.append(folder / f"{prefix}{index + 1}-{_stem(mask.name)}-mask.png")
    files = list(zip(paths, encoded, strict=True))
    if with_reports:
        texts = [(json.dumps(report.to_dict(), indent=2) + "\n").encode() for report in reports]
        files += list(
            zip([path.with_suffix(".json") for path in paths[: len(reports)]], texts, strict=True)
        )
    written: list[Path] = []
    try:
        make_folder(folder)
        for path, data in files:
            write_atomically(data, path)
            written.append(path)
    except BaseException:  # an interrupt leaves no half of a request either
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return paths


def make_folder(folder: Path) -> None:
    """Creates an output folder.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(
            f"the output folder '{folder}' cannot be made ({error.strerror})"
        ) from error


def require_writable(folder: Path) -> None:
    """Finds out, before minutes of work and without making it, whether an output folder can be written to.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    try:
        nearest = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path())
        usable = nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)
    except OSError as error:
        raise _unwritable(
            f"the output folder '{str(folder)[:80]}' cannot be written to ({error.strerror})"
        ) from error
    if not usable:
        raise _unwritable(
            f"the output folder '{folder}' cannot be written to ('{nearest}' is no folder that you may write to)"
        )


@contextmanager
def served_folder() -> Iterator[Path]:
    """A new folder for the results of one served request, after removing those older than `SERVED_FOR_S`; gone if the block fails.

    Cog reads outputs after predict() has returned and never deletes them: only what is old enough to have been read may go. A
    folder's name says when it was made, by the clock that all processes share since the machine started and nobody can set.
    """
    root = Path(tempfile.gettempdir()) / SERVED_FOLDER
    _require_own(root)
    now_s = int(time.monotonic())
    for old in root.iterdir():
        made = re.fullmatch("[0-9a-f]{32}-([0-9]+)", old.name)
        # From the future: the machine was started anew since.
        if made and not 0 <= now_s - int(made[1]) <= SERVED_FOR_S:
            shutil.rmtree(old, ignore_errors=True)
    folder = root / f"{uuid.uuid4().hex}-{now_s}"
    try:
        make_folder(folder)
        yield folder
    except BaseException:  # a cancelled request leaves nothing either
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _require_own(root: Path) -> None:
    """Makes the served folder ours alone: its name in a shared folder is known to all, and what is old in it is deleted."""
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        facts = root.lstat()
        own = stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid()
        if own:
            root.chmod(0o700)
    except OSError as error:
        raise _unwritable(
            f"the folder '{root}' cannot be made ({error.strerror})",
            "Set TMPDIR to a folder that you may write to.",
        ) from error
    if not own:
        raise _unwritable(
            f"'{root}' is a link, no folder, or somebody else's",
            "Remove it, or set TMPDIR to a folder of your own.",
        )


def _unwritable(reason: str, remedy: str = "Name a folder that you may write to.") -> RestoreError:
    return RestoreError(Code.OUTPUT_UNWRITABLE, reason, remedy)


def _stem(name: str) -> str:
    """A file name's stem without anything a path or a shell could trip over, and short enough for any file system."""
    stem = re.sub(r"[^\w.-]+", "_", Path(name).stem).strip("._")
    return stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore") or "photo"
