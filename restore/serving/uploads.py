"""The photos and masks of a Cog request, as files.

A request comes from a stranger: its URLs are fetched with limits on address, size and time, and it
must not name files on the disk of the server. The environment variable RESTORE_ALLOW lifts limits:
`paths`, `addresses`, or both, separated by a comma. In the container of `cog predict` a request may
name files of the project. The job service names the folders of its files for the workers that it
starts in RESTORE_INPUT_FOLDERS; a request to such a worker may name files in them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from restore.errors import Code, RestoreError
from restore.imaging.named_file import NamedFile
from restore.serving.cog_cli import file_in_project, serves_cog_cli
from restore.serving.fetch import FILE_SCHEME, has_scheme, read_url
from restore.serving.temporary_files import temporary_folder, write_temporary

ALLOW = "RESTORE_ALLOW"
PATHS, ADDRESSES = "paths", "addresses"
INPUT_FOLDERS = "RESTORE_INPUT_FOLDERS"
"""Absolute paths of folders, separated as in PATH, whose files requests may name."""


def allowed_sources(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Return the sources that RESTORE_ALLOW permits besides uploads and public URLs.

    Raises:
        RestoreError: OPTION_INVALID for a value that does not exist.
    """
    names = frozenset(
        name.strip() for name in environment.get(ALLOW, "").split(",") if name.strip()
    )
    if unknown := names - {PATHS, ADDRESSES}:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"the environment variable {ALLOW} names '{', '.join(sorted(unknown))}'",
            f"Set it to {PATHS}, {ADDRESSES} or {PATHS},{ADDRESSES}, or unset it.",
        )
    return names


@contextmanager
def open_uploads(
    single: object, several: Sequence[object] | None, name: str = "image"
) -> Iterator[list[NamedFile]]:
    """Provide the photos of a request as files, in order, inside a `with` block.

    The content of URLs and data URIs is written to a temporary folder that is removed at the end of
    the block; several URLs are downloaded at the same time.

    Args:
        single: value of the input for one photo, or None.
        several: value of the input for a list of photos, or None.
        name: name of the first input; the second one is its plural. Files are named after them:
            `image`, `images[0]`, `images[1]` and so on.

    Raises:
        RestoreError: PHOTO_MISSING for a value that is not an upload or a URL that can be read;
            PHOTO_TOO_LARGE; SERVER if an upload cannot be written.
    """
    named = [] if single is None else [(name, single)]
    named += [(f"{name}s[{index}]", value) for index, value in enumerate(several or ())]
    allowed = allowed_sources()
    sources = [(label, _source_of(label, value, allowed)) for label, value in named]
    with ExitStack() as stack:
        folder = Path()
        if any(isinstance(source, str) for _, source in sources):
            folder = stack.enter_context(temporary_folder())

        def to_file(index: int) -> NamedFile:
            label, source = sources[index]
            if isinstance(source, Path):
                return NamedFile(label, source)
            content = read_url(source, label, public=ADDRESSES not in allowed)
            write_temporary(folder / str(index), content, label)
            return NamedFile(label, folder / str(index))

        with ThreadPoolExecutor(max(1, len(sources))) as threads:
            files = list(threads.map(to_file, range(len(sources))))
        yield files


def _source_of(label: str, value: object, allowed: frozenset[str]) -> str | Path:
    """Return the URL or data URI to read, or the path of a file.

    Raises:
        RestoreError: PHOTO_MISSING.
    """
    # Set by `cog_patch`, and by Cog itself for a URL in a list that also has a plain path.
    source = getattr(value, "source", None)
    if isinstance(source, str):
        return source
    path = _named_path(value, allowed) if isinstance(value, str) else _upload_path(value)
    if path is None:
        raise RestoreError(
            Code.PHOTO_MISSING,
            "it is not an uploaded file or a URL, and paths are not allowed",
            "Send a data URI or an http(s) URL. With `cog predict`, use -i image=@FILE, or"
            " -e RESTORE_ALLOW=paths for paths in --json; the operator of a server can set"
            " RESTORE_ALLOW=paths too.",
            photo=label,
        )
    return path


def _named_path(name: str, allowed: frozenset[str]) -> Path | None:
    """Return the file that a plain string names, if the request may name files."""
    if PATHS not in allowed:
        project_file = file_in_project(name) if serves_cog_cli() else None
        return project_file or _file_in_input_folder(name)
    if "\0" in name:
        return None
    if has_scheme(name, FILE_SCHEME):
        parts = urlsplit(name)
        return Path(unquote(parts.path)) if parts.netloc in {"", "localhost"} else None
    return Path(name.removeprefix("@"))  # an unusable path is reported when the file is opened


def _file_in_input_folder(name: str, environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that an absolute path names in a folder of RESTORE_INPUT_FOLDERS."""
    folders = [folder for folder in environment.get(INPUT_FOLDERS, "").split(os.pathsep) if folder]
    if not folders or "\0" in name or not Path(name).is_absolute():
        return None
    try:
        path = Path(name).resolve(strict=True)
    except (OSError, RuntimeError):
        return None
    is_inside = any(path.is_relative_to(Path(folder).resolve()) for folder in folders)
    return path if is_inside and path.is_file() else None


def _upload_path(value: object) -> Path | None:
    """Return the file that Cog wrote to the temporary folder, or None for any other value."""
    if not isinstance(value, os.PathLike):
        return None
    path = Path(value)
    try:
        resolved = path.resolve()
    except (OSError, ValueError, RuntimeError):  # such as a name with a NUL character
        return None
    return path if resolved.is_relative_to(Path(tempfile.gettempdir()).resolve()) else None
