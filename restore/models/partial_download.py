"""What has arrived of a file: `<target>.part`, whether it may be gone on with, and whether it is what was asked for.

A target is replaced only by a complete, checked file; a part that turns out to be of another file is thrown away.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from restore.errors import Code, RestoreError


class UnusableSourceError(Exception):
    """This address does not deliver the file; another may."""


class InterruptedTransferError(Exception):
    """The transfer broke off; the same address may go on."""


@dataclass(frozen=True)
class Wanted:
    """What is to arrive at `target`, and what is known of it beforehand."""

    target: Path
    bytes: int | None = None
    sha256: str | None = None

    def mismatch(self, digest: str, size: int) -> str | None:
        """What is wrong with a file of that sum and size, or None."""
        if self.bytes not in (None, size):
            return f"sent {size} bytes, {self.bytes} expected"
        if self.sha256 not in (None, digest):
            return f"sent a file with sha256 {digest}, {self.sha256} expected"
        return None if size else "sent an empty file"


@dataclass(frozen=True)
class Received:
    """What has arrived."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Origin:
    """Where a part came from: written beside the part, so that another process can go on.

    Attributes:
        validator: the strong ETag or the date that If-Range may carry.
        total: the size of the whole file, where the server told it.
    """

    url: str
    validator: str | None
    total: int | None


class Part:
    """`<target>.part`, and its origin in `<target>.part.json`."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.path = wanted.target.with_name(wanted.target.name + ".part")
        self._origin_path = wanted.target.with_name(wanted.target.name + ".part.json")

    @property
    def bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def origin(self) -> Origin | None:
        try:
            return Origin(**json.loads(self._origin_path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, origin: Origin, first: int) -> None:
        """Prepares for bytes from `first` on; the origin never stands beside another origin's bytes."""
        if first == 0:
            self.discard()
        self._origin_path.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._origin_path.unlink(missing_ok=True)

    def resumable_bytes(self, url: str) -> int:
        """How much may be kept: all, if a known sum or the server's own validator will prove that the rest fits, else nothing."""
        origin = self.origin
        provable = self.wanted.sha256 is not None or (
            origin is not None and origin.url == url and origin.validator is not None
        )
        if not provable or (self.wanted.bytes is not None and self.bytes > self.wanted.bytes):
            self.discard()
        return self.bytes

    def resume_headers(self, url: str, offset: int) -> dict[str, str]:
        """Asks for the rest; a file that has changed since is then sent whole."""
        if not offset:
            return {}
        origin = self.origin
        same_file = (
            {"If-Range": origin.validator}
            if origin and origin.url == url and origin.validator
            else {}
        )
        return {"Range": f"bytes={offset}-", **same_file}

    def accept(self, digest: str, *, resumed: bool) -> Received:
        """Makes the part the target.

        Raises:
            InterruptedTransferError: it is the wrong file, but its beginning was an older transfer's: worth another attempt.
            UnusableSourceError: it is the wrong file.
        """
        size = self.bytes
        reason = self.wanted.mismatch(digest, size)
        if reason is not None:
            self.discard()
            raise InterruptedTransferError(reason) if resumed else UnusableSourceError(reason)
        replace_durably(self.path, self.wanted.target)
        self._origin_path.unlink(missing_ok=True)
        return Received(digest, size)


def running_sha256(path: Path | None = None) -> hashlib._Hash:
    """A sha256 of a file's content so far, ready for more."""
    if path is None:
        return hashlib.sha256()
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256")


def file_sha256(path: Path) -> str:
    """The sha256 of a file, as 64 hex digits."""
    return running_sha256(path).hexdigest()


def replace_durably(source: Path, target: Path) -> None:
    """Renames `source` to `target` so that, whatever happens, the target is whole or as it was."""
    _flush(source)
    source.replace(target)
    _flush(target.parent)


def require_space(target: Path, needed_bytes: int) -> None:
    """Refuses to begin what cannot be finished. Raises RestoreError: WEIGHTS_NO_SPACE."""
    free_bytes = shutil.disk_usage(target.parent).free
    if free_bytes < needed_bytes:
        raise _no_space(
            target, f"{needed_bytes / 1e6:.1f} MB are needed, {free_bytes / 1e6:.1f} MB are free"
        )


@contextmanager
def telling_no_space(target: Path) -> Iterator[None]:
    """Turns a full disk into RestoreError: WEIGHTS_NO_SPACE."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(target, "the disk is full") from error
        raise


def _no_space(target: Path, reason: str) -> RestoreError:
    where = f"no space for '{target.name}' in {target.parent}: {reason}"
    return RestoreError(
        Code.WEIGHTS_NO_SPACE,
        where,
        "Free some space, or set RESTORE_WEIGHTS_DIR; what has arrived is kept.",
    )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
