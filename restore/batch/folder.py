"""Folders on a local disk or at an fsspec URL, such as s3://bucket/photos.

Local folders are read and written without fsspec, because that is faster and keeps dates.
"""

from __future__ import annotations

import errno
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.errors import Code, RestoreError, system_reason

TEMPORARY_PREFIX = ".restore-tmp-"
URL_MARK = "://"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file below a folder.

    Attributes:
        name: path relative to the folder, with `/` between its parts.
        size: bytes.
        state: text that changes when the content changes: the date of the last change in
            nanoseconds, or a checksum of the store.
        modified_ns: date of the last change in nanoseconds since 1970, or None if unknown.
    """

    name: str
    size: int
    state: str
    modified_ns: int | None


class Folder(ABC):
    """A folder with photos or results.

    Attributes:
        place: the path or URL, as it is shown to users.
    """

    place: str

    @abstractmethod
    def entries(self, *, recursive: bool = True) -> Iterator[Entry]:
        """Yield the files below the folder; hidden files and folders are left out.

        Raises:
            RestoreError: PHOTO_MISSING if the folder cannot be read.
        """

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Return whether there is a file of this name."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            OSError: it cannot be read.
        """

    @abstractmethod
    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a file, each with its end."""

    @abstractmethod
    def subfolder(self, name: str) -> Folder | None:
        """Return a folder below this one, or None if it does not exist."""

    @abstractmethod
    def write(self, name: str, content: bytes, modified_ns: int | None = None) -> None:
        """Write a file so that other processes see the whole of it or nothing.

        Args:
            name: path relative to the folder; missing folders are created.
            content: the bytes.
            modified_ns: date of the file; None means now. Only local folders keep dates.

        Raises:
            OSError: it cannot be written.
        """

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Return the free space on the disk, or None if there is no such limit."""


class LocalFolder(Folder):
    """A folder on a local disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = str(path)

    def is_file(self) -> bool:
        """Return whether its path is that of a file, which cannot be used as a folder."""
        return os.path.isfile(self.path)  # noqa: PTH113 - False for a path that is too long, too

    def has_entries(self) -> bool:
        """Return whether it exists and has a file or folder in it, also a hidden one."""
        try:
            with os.scandir(self.path) as found:
                return next(found, None) is not None
        except OSError:
            return False

    def entries(self, *, recursive: bool = True) -> Iterator[Entry]:
        """Yield the files in the order of their names; links to folders are not followed."""
        try:
            yield from self._below(str(self.path), "", recursive=recursive)
        except OSError as error:
            place = error.filename or self.place
            raise RestoreError(
                Code.PHOTO_MISSING,
                f"the folder '{place}' cannot be read ({system_reason(error)})",
                "Check the path and its permissions.",
            ) from error

    def _below(self, path: str, prefix: str, *, recursive: bool) -> Iterator[Entry]:
        with os.scandir(path) as found:
            children = sorted(found, key=lambda child: child.name)
        for child in children:
            if child.name.startswith("."):
                continue
            if child.is_dir(follow_symlinks=False):
                if recursive:
                    yield from self._below(child.path, f"{prefix}{child.name}/", recursive=True)
            elif status := _file_status(child):
                changed_ns = status.st_mtime_ns
                yield Entry(prefix + child.name, status.st_size, str(changed_ns), changed_ns)

    def exists(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return (self.path / name).exists()

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.path / name).read_bytes()

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a file, each with its end."""
        with (self.path / name).open("rb") as file:
            yield from file

    def subfolder(self, name: str) -> LocalFolder | None:
        """Return a folder below this one, or None if it does not exist."""
        path = self.path / name
        return LocalFolder(path) if path.is_dir() else None

    def write(self, name: str, content: bytes, modified_ns: int | None = None) -> None:
        """Write to a temporary name, sync and rename."""
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}")
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if modified_ns is not None:
                os.utime(temporary, ns=(modified_ns, modified_ns))
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def link_target(self, name: str) -> str:
        """Return where a link leads, as it is written; an empty text for other files."""
        path = self.path / name
        return str(path.readlink()) if path.is_symlink() else ""

    def move(self, name: str, target: str) -> None:
        """Move a file within the folder; an existing target is replaced.

        Raises:
            OSError: it cannot be moved.
        """
        path = self.path / target
        path.parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).replace(path)

    def free_bytes(self) -> int | None:
        """Return the free space on the disk of the folder, or of its nearest parent."""
        path = self.path.absolute()
        while not path.exists():
            path = path.parent
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize


class RemoteFolder(Folder):
    """A folder at an fsspec URL. A file appears there when it is complete.

    Raises:
        RestoreError: OPTION_INVALID for a scheme that no installed package knows.
    """

    def __init__(self, url: str) -> None:
        import fsspec  # noqa: PLC0415 - only batches on remote folders need it

        self.place = url
        try:
            self._files: Any = fsspec.url_to_fs(url)[0]
            self._root: str = fsspec.url_to_fs(url)[1].rstrip("/")
        except (ImportError, ValueError) as error:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"the folder '{url}' cannot be opened ({error})",
                "Install the package of this store, for example s3fs for s3:// or gcsfs for gs://.",
            ) from error

    def entries(self, *, recursive: bool = True) -> Iterator[Entry]:
        """Yield the files in the order of their names."""
        self._files.invalidate_cache()
        depth = None if recursive else 1
        try:
            found = self._files.find(self._root, maxdepth=depth, detail=True)
        except OSError as error:
            raise RestoreError(
                Code.PHOTO_MISSING,
                f"the folder '{self.place}' cannot be read ({system_reason(error)})",
                "Check the URL and the credentials.",
            ) from error
        for path, facts in sorted(found.items()):
            name = path[len(self._root) :].lstrip("/")
            hidden = any(part.startswith(".") for part in name.split("/"))
            if facts.get("type") == "file" and not hidden:
                yield Entry(name, int(facts["size"]), _state_of(facts), None)

    def exists(self, name: str) -> bool:
        """Return whether there is a file of this name."""
        return bool(self._files.exists(self._path(name)))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        content: bytes = self._files.cat_file(self._path(name))
        return content

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of a file, each with its end."""
        with self._files.open(self._path(name), "rb") as file:
            yield from file

    def subfolder(self, name: str) -> RemoteFolder | None:
        """Return a folder below this one, or None if it does not exist."""
        self._files.invalidate_cache()
        url = f"{self.place.rstrip('/')}/{name}"
        return RemoteFolder(url) if self._files.exists(self._path(name)) else None

    def write(self, name: str, content: bytes, modified_ns: int | None = None) -> None:
        """Write a file; object stores show it when it is complete."""
        path = self._path(name)
        self._files.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._files.pipe_file(path, content)

    def free_bytes(self) -> int | None:
        """Return None: an object store has no limit that can be asked for."""
        return None

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"


def open_folder(place: str) -> Folder:
    """Return the folder of a path or an fsspec URL.

    Raises:
        RestoreError: OPTION_INVALID for a URL whose scheme is unknown, and for an empty path, as of
            an unset variable of a shell.
    """
    if not place.strip():
        raise RestoreError(
            Code.OPTION_INVALID,
            "the path of a folder is empty",
            "Give the folder of the photos and that of the results; . is the current folder.",
        )
    place = place.removeprefix("file" + URL_MARK)
    return RemoteFolder(place) if URL_MARK in place else LocalFolder(Path(place))


def require_separate(source: Folder, target: Folder) -> None:
    """Check that both are folders, and that the results get into a folder outside of the photos'.

    Raises:
        RestoreError: PHOTO_MISSING if the photos' folder is a file; OUTPUT_UNWRITABLE.
    """
    if isinstance(source, LocalFolder) and source.is_file():
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"'{source.place}' is a file, not a folder of photos",
            f"Give its folder, or use `restore {source.place}` for one photo.",
        )
    if isinstance(target, LocalFolder) and target.is_file():
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"the output '{target.place}' is a file, not a folder",
            "Choose a folder; it is created if it does not exist.",
        )
    if isinstance(source, LocalFolder) and isinstance(target, LocalFolder):
        inner, outer = target.path.resolve(), source.path.resolve()
        inside = inner == outer or outer in inner.parents
    else:
        inside = f"{target.place.rstrip('/')}/".startswith(f"{source.place.rstrip('/')}/")
    if inside:
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"the output '{target.place}' is the folder of the photos, or inside of it",
            "Choose a folder outside of it.",
        )


def _file_status(child: os.DirEntry[str]) -> os.stat_result | None:
    """Return the facts of a file, or None if it is no file or has vanished.

    A link to nothing or to itself has its own facts: reading it fails, and the run says so.
    """
    try:
        if child.is_file():
            return child.stat()
        is_dead = child.is_symlink() and not os.path.exists(child.path)  # noqa: PTH110 - as scandir
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        if error.errno != errno.ELOOP:
            raise
        is_dead = True
    return child.stat(follow_symlinks=False) if is_dead else None


def _state_of(facts: dict[str, Any]) -> str:
    """Return what a store tells of the content of a file."""
    keys = ("ETag", "etag", "md5Hash", "checksum", "LastModified", "mtime", "created")
    return next((str(facts[key]) for key in keys if facts.get(key) is not None), "")
