"""Writing the results of a batch so that each is made once, whenever the process is killed.

A result is written to a pending file, then its row is added to the manifest, then the file is moved
to its place. A run that finds a pending file of the run before completes the move if there is a row
for it, and deletes it otherwise. Object stores have no moves: there, the file is written before its
row.
"""

from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from restore.batch.folder import Folder, LocalFolder
from restore.batch.listing import BatchPhoto
from restore.batch.locks import try_lock
from restore.batch.manifest import (
    DONE,
    FAILED,
    FOLDER,
    NAME,
    SUFFIX,
    Known,
    Manifest,
    Row,
    key_of,
)
from restore.batch.processing import Outcome
from restore.errors import Code, RestoreError, system_reason
from restore.version import __version__

PENDING = "pending"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
MASK_MARK = "-mask.png"


class Output:
    """The results of a batch and their manifest.

    Args:
        folder: the output folder.
        manifest: its manifest.
        settings: fingerprint of the job.
        manifest_settings: the same with the manifest of the weights, for photos that fail; None
            means that it does not matter.
        shard: name of the shard; each has its own pending files.
        overwrite: replace results that are out of date, and files that are no results of this
            batch.
        force: replace all files that are older than this run, also the results of other photos.
    """

    def __init__(
        self,
        folder: Folder,
        manifest: Manifest,
        settings: str,
        shard: str = "",
        *,
        manifest_settings: str | None = None,
        overwrite: bool = False,
        force: bool = False,
    ) -> None:
        self.folder, self.manifest, self.settings = folder, manifest, settings
        self.manifest_settings = manifest_settings or settings
        self.overwrite, self.force = overwrite, force
        self._started = time.time()
        self._pending = f"{FOLDER}/{PENDING}{f'-{shard}' if shard else ''}"

    def complete_moves(self) -> None:
        """Move the pending files that have a row to their places, and delete the others.

        The files of other shards are left alone while their runs go on.

        Raises:
            OSError: a file cannot be removed.
        """
        if not isinstance(self.folder, LocalFolder):
            return
        own = self.folder.path / FOLDER
        for path in own.glob(f"{PENDING}*"):
            if f"{FOLDER}/{path.name}" == self._pending:
                self._complete_moves_from(path)
            elif lock := try_lock(own / f"{path.name.replace(PENDING, NAME, 1)}{SUFFIX}"):
                with lock:  # the run of this shard has ended
                    self._complete_moves_from(path)

    def _complete_moves_from(self, pending: Path) -> None:
        assert isinstance(self.folder, LocalFolder)
        waiting = {path.name: path for path in pending.iterdir()}
        if not waiting:
            return
        for known in self.manifest.known.values():
            for name in known.files:
                if path := waiting.get(_pending_name(name, known.files_key)):
                    # If it cannot be moved, the photo is done again, and its row says why.
                    with suppress(OSError):
                        self.folder.move(f"{FOLDER}/{pending.name}/{path.name}", name)
        for path in waiting.values():
            path.unlink(missing_ok=True)

    def save(self, photo: BatchPhoto, outcome: Outcome) -> Row:
        """Write the files of an outcome and add its row.

        Returns:
            The row; it says that the photo has failed if a file cannot be written, or if a file
            would be replaced that must not be.

        Raises:
            OSError: the manifest cannot be written, or no result of any photo: the disk is full, or
                the output folder has become read-only.
        """
        known = self.manifest.known.get(photo.name)
        if outcome.content is None:
            return self._add(self._failure(photo, outcome, outcome.error or {}, known))
        name = photo.output_name(outcome.format)
        stem = PurePosixPath(name).with_suffix("")
        files = {name: outcome.content}
        for index, mask in enumerate(outcome.masks):
            files[f"{stem}{'' if not index else f'-{index + 1}'}{MASK_MARK}"] = mask
        try:
            self._refuse_existing_files(photo, files, known)
            for own_name, content in files.items():
                self._write(photo, own_name, content)
        except (RestoreError, OSError) as error:
            return self._fail(photo, outcome, error, tuple(files), known)
        names = tuple(files)
        row = Row(
            input=photo.name,
            size=photo.entry.size,
            state=photo.entry.state,
            settings=self.settings,
            status=DONE,
            output=names[0],
            extra=names[1:],
            sha256=hashlib.sha256(outcome.content).hexdigest(),
            seconds=outcome.seconds,
            finished=time.time(),
            version=__version__,
            report=outcome.report,
            substitutes=outcome.substitutes,
            networks=outcome.networks,
        )
        self._add(row)
        if isinstance(self.folder, LocalFolder):
            try:
                for own_name in names:
                    self.folder.move(self._pending_place(photo, own_name), own_name)
            except OSError as error:  # a file has the name of a folder, or the folder is read-only
                return self._fail(photo, outcome, error, names, known)
        return row

    def _write(self, photo: BatchPhoto, name: str, content: bytes) -> None:
        local = isinstance(self.folder, LocalFolder)
        place = self._pending_place(photo, name) if local else name
        self.folder.write(place, content, photo.entry.modified_ns)

    def _fail(
        self,
        photo: BatchPhoto,
        outcome: Outcome,
        error: RestoreError | OSError,
        names: tuple[str, ...],
        known: Known | None,
    ) -> Row:
        """Remove what was written and add the row, unless no other photo would fare better."""
        if isinstance(self.folder, LocalFolder):
            for name in names:
                with suppress(OSError):
                    (self.folder.path / self._pending_place(photo, name)).unlink()
        if isinstance(error, OSError) and self._concerns_all_photos(error):
            raise error
        return self._add(self._failure(photo, outcome, _facts(error, names[0]), known))

    def _concerns_all_photos(self, error: OSError) -> bool:
        if error.errno in FULL:
            return True
        if not isinstance(self.folder, LocalFolder) or error.errno not in READ_ONLY:
            return False
        folders = [self.folder.path, self.folder.path / self._pending]
        return not all(os.access(one, os.W_OK) for one in folders if one.exists())

    def _pending_place(self, photo: BatchPhoto, name: str) -> str:
        key = key_of(photo.entry.size, photo.entry.state, self.settings)
        return f"{self._pending}/{_pending_name(name, key)}"

    def _refuse_existing_files(
        self, photo: BatchPhoto, files: Mapping[str, bytes], known: Known | None
    ) -> None:
        own = known.files if known else ()
        for name, content in files.items():
            if not self.folder.exists(name):
                continue
            if name in own:
                self._refuse_older_result(photo, name, known)
                continue
            owner, known_owner = self._owner_of(name)
            if self.force and (known_owner is None or known_owner.finished < self._started):
                continue
            if self.overwrite and known_owner is None:
                continue
            if owner:
                raise RestoreError(
                    Code.OUTPUT_UNWRITABLE,
                    f"'{name}' in '{self.folder.place}' is the result of '{owner}'",
                    "Rename one of the two photos, or remove this result, then run with"
                    " --retry-failed.",
                    photo=photo.name,
                )
            # A run that was killed before it wrote the row has left the same bytes.
            if self.folder.read(name) != content:
                raise RestoreError(
                    Code.OUTPUT_UNWRITABLE,
                    f"'{name}' exists in '{self.folder.place}' and is no result of this batch",
                    "Move it away or choose another output folder; or run with --retry-failed"
                    " --overwrite to replace it.",
                    photo=photo.name,
                )

    def _refuse_older_result(self, photo: BatchPhoto, name: str, known: Known | None) -> None:
        """Refuse to replace a result of an older photo or of other options."""
        settings = (self.settings, self.manifest_settings)
        keys = {key_of(photo.entry.size, photo.entry.state, one) for one in settings}
        if not self.overwrite and known and known.files_key not in keys:
            raise RestoreError(
                Code.OUTPUT_UNWRITABLE,
                f"'{name}' in '{self.folder.place}' is the result of an older photo, or of other"
                " options",
                "Choose another output folder, or run with --retry-failed --overwrite to replace"
                " it.",
                photo=photo.name,
            )

    def _owner_of(self, name: str) -> tuple[str, Known | None]:
        """Return the photo whose result has a name; only called when names conflict."""
        found = ((one, known) for one, known in self.manifest.known.items() if name in known.files)
        return next(found, ("", None))

    def _failure(
        self,
        photo: BatchPhoto,
        outcome: Outcome,
        error: Mapping[str, str],
        known: Known | None,
    ) -> Row:
        return Row(
            input=photo.name,
            size=photo.entry.size,
            state=photo.entry.state,
            settings=self.manifest_settings,
            status=FAILED,
            error=error,
            seconds=outcome.seconds,
            finished=time.time(),
            version=__version__,
            older=known.files if known else (),
            older_key=known.files_key if known else "",
        )

    def _add(self, row: Row) -> Row:
        self.manifest.add(row)
        return row


def _pending_name(name: str, key: str) -> str:
    """Return a short name for a result that differs if its photo or the settings differ."""
    return hashlib.sha256(f"{key} {name}".encode(errors="surrogateescape")).hexdigest()[:32]


def _facts(error: RestoreError | OSError, name: str) -> dict[str, str]:
    if isinstance(error, OSError):
        error = RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"the result '{name}' cannot be written ({system_reason(error)})",
            "Check the space and the permissions of the output folder, then run with"
            " --retry-failed.",
        )
    return {"code": str(error.code), "message": str(error)}
