"""Writing the results of a batch so that each is made once, whenever the process is killed.

A result is written to a pending file, then its row is added to the manifest, then the file is moved
to its place. A run that finds a pending file of the run before completes the move if there is a row
for it, and deletes it otherwise. Object stores have no moves: there, the file is written before its
row.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from pathlib import PurePosixPath

from restore.batch.folder import Folder, LocalFolder
from restore.batch.listing import BatchPhoto
from restore.batch.manifest import DONE, FAILED, FOLDER, Manifest, Row
from restore.batch.processing import Outcome
from restore.errors import Code, RestoreError
from restore.version import __version__

PENDING = "pending"
MASK_MARK = "-mask.png"


class Output:
    """The results of a batch and their manifest.

    Args:
        folder: the output folder.
        manifest: its manifest.
        settings: fingerprint of the job.
        shard: name of the shard; each has its own pending files.
        replace: replace files that are no results of this batch.
    """

    def __init__(
        self,
        folder: Folder,
        manifest: Manifest,
        settings: str,
        shard: str = "",
        *,
        replace: bool = False,
    ) -> None:
        self.folder, self.manifest, self.settings = folder, manifest, settings
        self.replace = replace
        self._pending = f"{FOLDER}/{PENDING}{f'-{shard}' if shard else ''}"

    def complete_moves(self) -> None:
        """Move the pending files that have a row to their places, and delete the others.

        Raises:
            OSError: a file cannot be moved.
        """
        pending = self.folder.subfolder(self._pending)
        if pending is None or not isinstance(self.folder, LocalFolder):
            return
        assert isinstance(pending, LocalFolder)
        outputs = {
            self._pending_name(name): name
            for known in self.manifest.known.values()
            for name in known.files
        }
        for path in pending.path.iterdir():
            place = f"{self._pending}/{path.name}"
            if name := outputs.get(place):
                self.folder.move(place, name)
            else:
                path.unlink()

    def save(self, photo: BatchPhoto, outcome: Outcome) -> Row:
        """Write the files of an outcome and add its row.

        Returns:
            The row; it says that the photo has failed if a file cannot be written, or if a file
            that is no result of this batch would be replaced.

        Raises:
            OSError: the manifest cannot be written.
        """
        if outcome.content is None:
            return self._add(self._failure(photo, outcome, outcome.error or {}))
        name = photo.output_name(outcome.format)
        stem = PurePosixPath(name).with_suffix("")
        files = {name: outcome.content}
        for index, mask in enumerate(outcome.masks):
            files[f"{stem}{'' if not index else f'-{index + 1}'}{MASK_MARK}"] = mask
        try:
            self._refuse_foreign_files(photo, files)
            for own_name, content in files.items():
                self._write(own_name, content, photo.entry.modified_ns)
        except (RestoreError, OSError) as error:
            return self._add(self._failure(photo, outcome, _facts(error, name)))
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
        )
        self._add(row)
        if isinstance(self.folder, LocalFolder):
            for own_name in names:
                self.folder.move(self._pending_name(own_name), own_name)
        return row

    def _write(self, name: str, content: bytes, modified_ns: int | None) -> None:
        place = self._pending_name(name) if isinstance(self.folder, LocalFolder) else name
        self.folder.write(place, content, modified_ns)

    def _refuse_foreign_files(self, photo: BatchPhoto, files: Mapping[str, bytes]) -> None:
        known = self.manifest.known.get(photo.name)
        own = known.files if known else ()
        for name, content in files.items():
            if self.replace or name in own or not self.folder.exists(name):
                continue
            # A run that was killed before it wrote the row has left the same bytes.
            if self.folder.read(name) != content:
                raise RestoreError(
                    Code.OUTPUT_UNWRITABLE,
                    f"'{name}' exists in '{self.folder.place}' and is no result of this batch",
                    "Move it away, choose another output folder, or use --force to replace it.",
                    photo=photo.name,
                )

    def _failure(self, photo: BatchPhoto, outcome: Outcome, error: Mapping[str, str]) -> Row:
        return Row(
            input=photo.name,
            size=photo.entry.size,
            state=photo.entry.state,
            settings=self.settings,
            status=FAILED,
            error=error,
            seconds=outcome.seconds,
            finished=time.time(),
            version=__version__,
        )

    def _pending_name(self, name: str) -> str:
        return f"{self._pending}/{hashlib.sha256(name.encode()).hexdigest()[:32]}"

    def _add(self, row: Row) -> Row:
        self.manifest.add(row)
        return row


def _facts(error: RestoreError | OSError, name: str) -> dict[str, str]:
    if isinstance(error, OSError):
        error = RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"the result '{name}' cannot be written ({error.strerror or error})",
            "Check the space and the permissions of the output folder, then run with"
            " --retry-failed.",
        )
    return {"code": str(error.code), "message": str(error)}
