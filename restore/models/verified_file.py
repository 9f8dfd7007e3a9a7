"""A checkpoint file whose content matches its manifest row, and the record of its checksum.

The record `<file>.verified.json` in the weights folder avoids hashing a large file at every start.
"""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from restore.errors import Code, RestoreError, system_reason
from restore.models.catalog import Checkpoint

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class VerifiedFile:
    """A file whose content matches its manifest row.

    Attributes:
        row: the manifest row.
        path, sha256, bytes: the file.
        source: what its values are, if it is a copy from the package index instead of the row's
            own file; else empty.
    """

    row: Checkpoint
    path: Path
    sha256: str
    bytes: int
    source: str = ""


@dataclass(frozen=True)
class ChecksumRecord:
    """The content of `<file>.verified.json`.

    Attributes:
        bytes: size of the file.
        mtime_ns: modification time of the file.
        sha256: checksum of the file.
        path: the file, if it is outside of the weights folder; else empty.
    """

    bytes: int
    mtime_ns: int
    sha256: str
    path: str = ""

    @classmethod
    def read(cls, path: Path) -> ChecksumRecord | None:
        """Read the record of a checkpoint; None if there is no valid one.

        Args:
            path: path of the checkpoint in the weights folder.
        """
        try:
            return cls(**json.loads(_record_path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Write the record of a checkpoint; in a read-only folder, only log that it failed."""
        record = _record_path(path)
        scratch = record.with_name(f"{record.name}.{os.getpid()}")
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_text(json.dumps(asdict(self)), encoding="utf-8")
            scratch.replace(record)
        except OSError as error:
            reason = system_reason(error)
            log.info("cannot record the checksum of %s (%s); it is computed again", path, reason)

    def matches(self, facts: os.stat_result, path: str = "") -> bool:
        """Return whether this record is about the file, and the file was not modified since."""
        recorded = (self.bytes, self.mtime_ns, self.path)
        return recorded == (facts.st_size, facts.st_mtime_ns, path)


def unreadable(path: Path, error: OSError) -> RestoreError:
    """Return the error for a checkpoint that exists but cannot be read."""
    return RestoreError(
        Code.WEIGHTS_MISSING,
        f"'{path}' cannot be read ({system_reason(error)})",
        "Check the file and its permissions.",
    )


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".verified.json")
