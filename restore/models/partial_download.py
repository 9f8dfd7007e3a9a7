"""A download in progress: `<file>.part`, whether it can be resumed, and whether it is correct.

A target file is only replaced by a complete, checked file. A partial file that turns out to belong
to another file is deleted.
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
from restore.models.locations import FOLDER_SETTINGS


class UnusableSourceError(Exception):
    """This address does not provide the file; another one may."""


class InterruptedTransferError(Exception):
    """The transfer was interrupted; it can be resumed at the same address."""


@dataclass(frozen=True)
class DownloadTarget:
    """A file to download, and what is known about it.

    Attributes:
        path: where the file is stored.
        bytes: expected size, if known.
        sha256: expected checksum, if known.
    """

    path: Path
    bytes: int | None = None
    sha256: str | None = None

    def mismatch(self, digest: str, size: int) -> str | None:
        """Describe what is wrong with a file of this checksum and size; None if it is correct."""
        if self.bytes not in (None, size):
            return f"sent {size} bytes, expected {self.bytes}"
        if self.sha256 not in (None, digest):
            return f"sent a file with sha256 {digest}, expected {self.sha256}"
        return None if size else "sent an empty file"


@dataclass(frozen=True)
class DownloadedFile:
    """Checksum and size of a downloaded file."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Origin:
    """Where a partial file came from; stored beside it, so that another process can resume it.

    Attributes:
        url: the address.
        validator: strong ETag or date for the If-Range header, if the server sent one.
        total: size of the complete file, if the server sent it.
    """

    url: str
    validator: str | None
    total: int | None


class PartialFile:
    """`<target>.part`, with its origin in `<target>.part.json`."""

    def __init__(self, target: DownloadTarget) -> None:
        self.target = target
        self.path = target.path.with_name(target.path.name + ".part")
        self._origin_path = target.path.with_name(target.path.name + ".part.json")

    @property
    def bytes(self) -> int:
        """Number of bytes that have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def origin(self) -> Origin | None:
        """Where the bytes came from, if that is known."""
        try:
            return Origin(**json.loads(self._origin_path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def begin(self, origin: Origin, first_byte: int) -> None:
        """Prepare for bytes from `first_byte` on; bytes of another origin are deleted first."""
        if first_byte == 0:
            self.discard()
        self._origin_path.write_text(json.dumps(asdict(origin)), encoding="utf-8")

    def discard(self) -> None:
        """Delete the partial file and its origin."""
        self.path.unlink(missing_ok=True)
        self._origin_path.unlink(missing_ok=True)

    def resumable_bytes(self, url: str) -> int:
        """Return how many bytes can be kept when the download continues at an address.

        They can be kept if a known checksum or the server's validator will show whether the rest
        belongs to the same file. Otherwise, the partial file is deleted.
        """
        origin = self.origin
        is_verifiable = self.target.sha256 is not None or (
            origin is not None and origin.url == url and origin.validator is not None
        )
        is_too_long = self.target.bytes is not None and self.bytes > self.target.bytes
        if not is_verifiable or is_too_long:
            self.discard()
        return self.bytes

    def resume_headers(self, url: str, offset: int) -> dict[str, str]:
        """Return headers that request the rest, or the whole file if it has changed since."""
        if not offset:
            return {}
        headers = {"Range": f"bytes={offset}-"}
        origin = self.origin
        if origin and origin.url == url and origin.validator:
            headers["If-Range"] = origin.validator
        return headers

    def accept(self, digest: str, *, resumed: bool) -> DownloadedFile:
        """Move the complete partial file to the target.

        Args:
            digest: sha256 of the partial file.
            resumed: whether its beginning is from an earlier transfer.

        Raises:
            InterruptedTransferError: it is the wrong file, but it was resumed: try again.
            UnusableSourceError: it is the wrong file.
        """
        size = self.bytes
        reason = self.target.mismatch(digest, size)
        if reason is not None:
            self.discard()
            raise InterruptedTransferError(reason) if resumed else UnusableSourceError(reason)
        replace_durably(self.path, self.target.path)
        self._origin_path.unlink(missing_ok=True)
        return DownloadedFile(digest, size)


def running_sha256(path: Path | None = None) -> hashlib._Hash:
    """Return a sha256 object that has read a file, ready for more bytes."""
    if path is None:
        return hashlib.sha256()
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256")


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file as 64 hexadecimal digits."""
    return running_sha256(path).hexdigest()


def replace_durably(source: Path, target: Path) -> None:
    """Rename `source` to `target` so that after a crash the target is complete or unchanged."""
    _flush(source)
    source.replace(target)
    _flush(target.parent)


def require_space(target: Path, needed_bytes: int) -> None:
    """Refuse a download that does not fit on the disk.

    Raises:
        RestoreError: WEIGHTS_NO_SPACE.
    """
    free_bytes = shutil.disk_usage(target.parent).free
    if free_bytes < needed_bytes:
        reason = f"{needed_bytes / 1e6:.1f} MB are needed, {free_bytes / 1e6:.1f} MB are free"
        raise _no_space(target, reason)


@contextmanager
def disk_full_as_restore_error(target: Path) -> Iterator[None]:
    """Convert the error of a full disk to RestoreError: WEIGHTS_NO_SPACE."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _no_space(target, "the disk is full") from error
        raise


def _no_space(target: Path, reason: str) -> RestoreError:
    return RestoreError(
        Code.WEIGHTS_NO_SPACE,
        f"no space for '{target.name}' in {target.parent}: {reason}",
        f"Free some space, or {FOLDER_SETTINGS}; the download will be resumed.",
    )


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
