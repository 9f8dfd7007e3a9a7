"""Finds, downloads and verifies the checkpoint files of a manifest.

The file of a row is `<root>/<task>/<file>`. It is hashed once; size, modification time and sha256
of a verified file are recorded in `<file>.verified.json`. If the manifest has no sha256, that of
the first download is recorded and later files must match it. A file that fails verification is
neither returned nor replaced.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from filelock import FileLock

from restore.errors import Code, RestoreError
from restore.models.catalog import LITE, Catalog, Checkpoint
from restore.models.download import Downloader, NoRangesError
from restore.models.locations import DOWNLOADS_ENVIRONMENT, downloads_folder
from restore.models.partial_download import (
    DownloadedFile,
    DownloadTarget,
    UnusableSourceError,
    file_sha256,
)
from restore.runtime.progress import Progress

log = logging.getLogger(__name__)


class State(StrEnum):
    """What is known about a file without hashing it."""

    MISSING = "missing"
    PRESENT = "present"
    """Not hashed yet, or modified since."""
    VERIFIED = "verified"
    CORRUPT = "corrupt"
    EMBEDDED = "embedded"
    """Part of the package, and verified."""


@dataclass(frozen=True)
class VerifiedFile:
    """A file whose content matches its manifest row."""

    row: Checkpoint
    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True)
class _Record:
    """The content of `<file>.verified.json`."""

    bytes: int
    mtime_ns: int
    sha256: str

    @classmethod
    def read(cls, path: Path) -> _Record | None:
        """Read the record of a checkpoint; None if there is no valid one."""
        try:
            return cls(**json.loads(_record_path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the record of a checkpoint; in a read-only folder, only log that it failed."""
        record = _record_path(path)
        scratch = record.with_name(f"{record.name}.{os.getpid()}")
        try:
            scratch.write_text(json.dumps(asdict(self)), encoding="utf-8")
            scratch.replace(record)
        except OSError as error:
            log.info("cannot record the checksum of %s (%s); it is computed again", path, error)

    def matches(self, facts: os.stat_result) -> bool:
        """Return whether the file was not modified since it was recorded."""
        return (self.bytes, self.mtime_ns) == (facts.st_size, facts.st_mtime_ns)


class WeightStore:
    """The checkpoint files of a catalog.

    Args:
        catalog: the manifest rows.
        root: folder of the downloads; default as `downloads_folder`.
        offline: never download.
        progress: called for every chunk that arrives.
        downloader: downloads the files; default is one that reports to `progress`.
    """

    def __init__(
        self,
        catalog: Catalog,
        root: Path | None = None,
        *,
        offline: bool = False,
        progress: Progress | None = None,
        downloader: Downloader | None = None,
    ) -> None:
        self.catalog = catalog
        self.root = root or downloads_folder()
        self.offline = offline
        self._downloader = downloader or Downloader(progress)

    def path_of(self, row: Checkpoint) -> Path:
        """Return the path of the row's file, whether it exists or not."""
        if row.embedded:
            return self.catalog.folder / LITE / row.file
        return self.root / row.task / row.file

    def status(self, row: Checkpoint) -> State:
        """Return the state of a file. Only embedded files, which are small, are hashed."""
        path = self.path_of(row)
        if not path.is_file():
            return State.MISSING
        if row.embedded:
            return State.EMBEDDED if file_sha256(path) == row.sha256 else State.CORRUPT
        facts, record = path.stat(), _Record.read(path)
        if row.bytes not in (None, facts.st_size):
            return State.CORRUPT
        is_verified = (
            record is not None and record.matches(facts) and row.sha256 in (None, record.sha256)
        )
        return State.VERIFIED if is_verified else State.PRESENT

    def locate(self, row: Checkpoint) -> VerifiedFile:
        """Return the row's file; it is hashed if it is new or was modified.

        Raises:
            RestoreError: WEIGHTS_MISSING; WEIGHTS_CORRUPT with both checksums or sizes;
                WEIGHTS_MANIFEST when the row of an embedded file has no checksum yet.
        """
        return self._verified_file(row, use_record=True)

    def verify(self, row: Checkpoint) -> VerifiedFile:
        """Hash the row's file again and return it.

        Raises:
            RestoreError: as `locate`.
        """
        return self._verified_file(row, use_record=False)

    def ensure(self, row: Checkpoint) -> VerifiedFile:
        """Return the row's file, downloaded if it is missing.

        If several processes need the file, one downloads it and the others wait.

        Raises:
            RestoreError: as `locate`; WEIGHTS_UNREACHABLE with the reason for each address;
                WEIGHTS_NO_SPACE.
        """
        try:
            if self.offline or row.embedded or self.path_of(row).exists():
                return self.locate(row)
            with self._locked(row):
                if not self.path_of(row).exists():
                    self._download(row)
        except OSError as error:
            reason = f"'{row.file}' is missing and cannot be stored in {self.root} ({error})"
            remedy = f"Set {DOWNLOADS_ENVIRONMENT} to a writable folder."
            raise RestoreError(Code.WEIGHTS_MISSING, reason, remedy) from error
        return self.locate(row)

    def _verified_file(self, row: Checkpoint, *, use_record: bool) -> VerifiedFile:
        path = self.path_of(row)
        self._require_verifiable(row, path)
        facts = path.stat()
        if row.bytes not in (None, facts.st_size):
            raise _corrupt(row, path, f"{facts.st_size} bytes", f"{row.bytes} bytes")
        record = None if row.embedded else _Record.read(path)
        expected = row.sha256 or (record.sha256 if record else None)
        if use_record and record and record.matches(facts) and record.sha256 == expected:
            return VerifiedFile(row, path, record.sha256, facts.st_size)
        digest = file_sha256(path)
        if expected not in (None, digest):
            raise _corrupt(row, path, f"sha256 {digest}", f"sha256 {expected}")
        if expected is None:
            log.warning(
                "the manifest has no sha256 for %s: from now on the file must match %s",
                row.file,
                digest,
            )
        if not row.embedded:
            _Record(facts.st_size, facts.st_mtime_ns, digest).write(path)
        return VerifiedFile(row, path, digest, facts.st_size)

    def _require_verifiable(self, row: Checkpoint, path: Path) -> None:
        if not path.is_file():
            raise RestoreError(
                Code.WEIGHTS_MISSING, f"'{row.file}' is missing ({path})", fetch_remedy(row.task)
            )
        if row.sha256 == "":
            reason = f"the manifest row '{row.id}' has no sha256 for its embedded file"
            raise RestoreError(
                Code.WEIGHTS_MANIFEST, reason, "Run `restore weights refresh` after training."
            )

    def _download(self, row: Checkpoint) -> None:
        reasons = []
        for url, attempt in self._sources(row):
            try:
                self._record(row, attempt())
            except UnusableSourceError as error:
                parts = urlsplit(url)
                reasons.append(f"{parts.netloc}{parts.path}: {error}")
                log.warning("%s: %s", row.file, reasons[-1])
            else:
                return
        reason = f"'{row.file}' could not be downloaded ({'; '.join(reasons)})"
        remedy = (
            f"Check the network connection and run `restore weights fetch {row.task}`, "
            f"or put the file at {self.path_of(row)}."
        )
        raise RestoreError(Code.WEIGHTS_UNREACHABLE, reason, remedy)

    def _sources(self, row: Checkpoint) -> Iterator[tuple[str, Callable[[], DownloadedFile]]]:
        """Yield each address, and what downloads the row's file from it."""
        target = self._target(row)
        if row.archive is not None:
            yield row.archive, partial(self._fetch_from_archive, row, target)
        for url in row.urls:
            yield url, partial(self._downloader.fetch, target, url)

    def _target(self, row: Checkpoint) -> DownloadTarget:
        path = self.path_of(row)
        record = _Record.read(path)
        return DownloadTarget(path, row.bytes, row.sha256 or (record.sha256 if record else None))

    def _fetch_from_archive(self, row: Checkpoint, target: DownloadTarget) -> DownloadedFile:
        """Download one member of a zip; without range support, the whole zip for all its rows."""
        archive, member = str(row.archive), str(row.member)
        try:
            return self._downloader.fetch_member(target, archive, member)
        except NoRangesError:
            zip_path = target.path.with_name(_last_part(archive))
        if not zip_path.exists():
            self._downloader.fetch(DownloadTarget(zip_path), archive)
        try:
            with zip_path.open("rb") as zip_file:
                downloaded = self._downloader.extract(target, zip_file, member)
                self._extract_other_members(row, zip_file)
        finally:
            zip_path.unlink()
        return downloaded

    def _extract_other_members(self, row: Checkpoint, zip_file: BinaryIO) -> None:
        for other in self.catalog.rows:
            if other.archive == row.archive and not self.path_of(other).exists():
                target, member = self._target(other), str(other.member)
                try:
                    self._record(other, self._downloader.extract(target, zip_file, member))
                except UnusableSourceError as error:
                    log.warning("%s: %s", other.file, error)

    def _record(self, row: Checkpoint, downloaded: DownloadedFile) -> None:
        path = self.path_of(row)
        _Record(downloaded.bytes, path.stat().st_mtime_ns, downloaded.sha256).write(path)

    @contextmanager
    def _locked(self, row: Checkpoint) -> Iterator[None]:
        """Lock a file between processes; rows of one zip share a lock, as it brings all of them."""
        folder = self.path_of(row).parent
        folder.mkdir(parents=True, exist_ok=True)
        name = _last_part(row.archive) if row.archive else row.file
        with FileLock(folder / f"{name}.lock"):
            yield


def fetch_remedy(task: str) -> str:
    """Return the remedy for missing or corrupt files of a task."""
    return f"Run `restore weights fetch {task}`."


def _corrupt(row: Checkpoint, path: Path, found: str, expected: str) -> RestoreError:
    reason = f"'{row.file}' is corrupt: {found}, expected {expected} ({path})"
    return RestoreError(Code.WEIGHTS_CORRUPT, reason, f"Delete it. {fetch_remedy(row.task)}")


def _last_part(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".verified.json")
