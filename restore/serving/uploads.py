"""Where photos come from, as named files: what a Cog request holds, and what a command line names.

A served request is a stranger's: its URLs are fetched with the limits of `LIMITS` and `addresses`, and it may name no file of the
server's disk. RESTORE_ALLOW takes such limits away: `paths`, `addresses`, or both, separated by a comma.
"""

from __future__ import annotations

import base64
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

import requests
from urllib3.exceptions import HTTPError

from restore.errors import Code, RestoreError
from restore.imaging.photo import LIMITS
from restore.serving import addresses
from restore.serving.addresses import bounded_session

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 30.0
CHUNK_BYTES = 2**16

ALLOW = "RESTORE_ALLOW"
PATHS, ADDRESSES = "paths", "addresses"


class NamedFile(NamedTuple):
    """A photo's file under the name that the caller knows it by."""

    name: str
    path: Path


def allowed(environment: Mapping[str, str] = os.environ) -> frozenset[str]:
    """What RESTORE_ALLOW lets a served request name beside uploads and public addresses.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    names = frozenset(
        name.strip() for name in environment.get(ALLOW, "").split(",") if name.strip()
    )
    if unknown := names - {PATHS, ADDRESSES}:
        reason = f"the environment's {ALLOW} names '{', '.join(sorted(unknown))}'"
        raise RestoreError(
            Code.OPTION_INVALID,
            reason,
            f"Set it to {PATHS}, {ADDRESSES} or {PATHS},{ADDRESSES}, or unset it.",
        )
    return names


@contextmanager
def uploads(
    image: object, images: Sequence[object] | None, name: str = "image"
) -> Iterator[list[NamedFile]]:
    """The photos of a request in order: `image` first, then `images`, named `image` and `images[0]` and on.

    What the request holds or names is written into a folder that goes with the `with` block; addresses are fetched from all at once.
    Cog hands a plain string (a path on the server's disk, which is nobody's to send) over as it came.

    Args:
        image, images: the two inputs.
        name: what the first is called; the second is its plural.

    Raises:
        RestoreError: PHOTO_MISSING for anything that is no upload, and no address that answers, unless RESTORE_ALLOW has `paths`;
            PHOTO_TOO_LARGE; SERVER where an upload cannot be written.
    """
    named = [] if image is None else [(name, image)]
    named += [(f"{name}s[{index}]", item) for index, item in enumerate(images or ())]
    settings = allowed()
    sources = [_source_of(called, item, settings) for called, item in named]
    with ExitStack() as kept:
        folder = (
            Path(kept.enter_context(_temporary_folder()))
            if any(isinstance(source, str) for source in sources)
            else Path()
        )

        def at_hand(index: int) -> NamedFile:
            source, called = sources[index], named[index][0]
            if isinstance(source, str):
                _write(
                    folder / str(index),
                    _content(source, called, public=ADDRESSES not in settings),
                    called,
                )
                return NamedFile(called, folder / str(index))
            return NamedFile(called, source)

        with ThreadPoolExecutor(max(1, len(sources))) as threads:
            files = list(threads.map(at_hand, range(len(sources))))
        yield files


def _source_of(called: str, item: object, settings: frozenset[str]) -> str | Path:
    """A URL or data URI to be read, or the path of a file that is there. Raises RestoreError: PHOTO_MISSING."""
    source = getattr(item, "source", None)
    if isinstance(
        source, str
    ):  # of an `Unread`, or of what Cog itself leaves unread in a list with a plain path
        return source
    path = _upload(item)
    if path is None and PATHS in settings and isinstance(item, str) and "\0" not in item:
        path = Path(item)  # whatever is wrong with it, opening it will say so
    if path is None:
        remedy = "Send a data URI or an http(s) URL; with `cog predict`, put @ before a file name."
        raise RestoreError(Code.PHOTO_MISSING, "is not an uploaded file", remedy, photo=called)
    return path


def _upload(item: object) -> Path | None:
    """The file that Cog has written into the temporary folder, or None for anything else."""
    if isinstance(item, str) or not isinstance(item, os.PathLike):
        return None
    path = Path(item)
    try:
        here = path.resolve()
    except (OSError, ValueError, RuntimeError):  # a name that is none, such as one with NUL in it
        return None
    return path if here.is_relative_to(Path(tempfile.gettempdir()).resolve()) else None


def leave_reading_to_us() -> None:
    """Has Cog hand the URLs of requests over unread: its own reading knows no limits of size, time or address, no codes and no names.

    Cog reads them before it calls `predict()`, by methods of its own classes, and offers no other place to stand. What it has read for
    a request that then fails, it leaves behind.

    Raises:
        RestoreError: OPTION_INVALID for what RESTORE_ALLOW does not know.
    """
    from cog.types import Path as CogPath  # noqa: PLC0415 - a server has it imported, a command line can do without
    from cog.types import URLPath  # noqa: PLC0415

    allowed()

    class Unread(CogPath):  # type: ignore[misc] # Cog has no types
        """What a request holds or names, for `uploads` to read."""

        source: str

        def unlink(self, missing_ok: bool = False) -> None:
            """Cog removes its temporary files so; this is none."""

    def validate(value: Any) -> Path:  # noqa: ANN401 - whatever the request holds
        if isinstance(value, str) and value[:8].lower().startswith(
            ("data:", "http://", "https://")
        ):
            url: Path = URLPath(source=value, filename="upload", fileobj=None)
            return url
        path: Path = value if isinstance(value, Path) else CogPath(value)
        return path

    def convert(self: Any) -> Path:  # noqa: ANN401 - Cog's own class
        unread = Unread("upload")
        unread.source = self.source
        return unread

    CogPath.validate, URLPath.convert = staticmethod(validate), convert


def _content(source: str, called: str, *, public: bool) -> bytes:
    """The bytes of a data URI, or at an address. Raises RestoreError: PHOTO_MISSING, PHOTO_TOO_LARGE."""
    if source[:5].lower() == "data:":
        return _decoded(source, called)
    with bounded_session(public=public) as session:
        try:
            return _downloaded(source, called, session)
        except RestoreError as error:
            raise error.about(called) from error


@contextmanager
def _temporary_folder() -> Iterator[str]:
    try:
        folder = tempfile.TemporaryDirectory(prefix="restore-", ignore_cleanup_errors=True)
    except OSError as error:
        raise _no_place(error, None) from error
    with folder as path:
        yield path


def _write(path: Path, data: bytes, called: str) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise _no_place(error, called) from error


def _no_place(error: OSError, called: str | None) -> RestoreError:
    reason = f"it cannot be kept in the temporary folder ({error.strerror})"
    return RestoreError(
        Code.SERVER, reason, "Make space there, or set TMPDIR to another folder.", photo=called
    )


def fetched(source: str, target: Path) -> NamedFile:
    """A photo named on the command line: `@FILE`, a plain path, a data URI, or an http(s) URL whose bytes go to `target`.

    Raises:
        RestoreError: PHOTO_MISSING when a URL or data URI gives no file, PHOTO_TOO_LARGE as soon as one gives too much.
    """
    if source.startswith(("http://", "https://")):
        name = _name_in(source)
        with bounded_session(public=False) as session:
            target.write_bytes(_downloaded(source, name, session))
        return NamedFile(name, target)
    if source.startswith("data:"):
        target.write_bytes(_decoded(source, "data URI"))
        return NamedFile("data URI", target)
    path = Path(source.removeprefix("@"))
    return NamedFile(path.name, path)


def _name_in(url: str) -> str:
    """What a file is called that an address leads to, without anything of the address that may be secret."""
    try:
        name = Path(urlsplit(url).path).name or urlsplit(url).hostname or ""
    except ValueError as error:
        raise RestoreError(
            Code.PHOTO_MISSING, f"is no address ({error})", "Check the address.", photo=url[:80]
        ) from error
    return name[:80] or "URL"


def _downloaded(url: str, name: str, session: requests.Session) -> bytes:
    remedy = "Check the address, or download the photo and name its file."
    data = bytearray()
    ends_s = time.monotonic() + addresses.TOTAL_TIMEOUT_S
    try:
        with session.get(url, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)) as answer:
            answer.raise_for_status()
            while chunk := answer.raw.read1(CHUNK_BYTES, decode_content=True):
                data += chunk
                if len(data) > LIMITS.max_bytes:
                    reason = f"is larger than {LIMITS.max_bytes / 2**20:.0f} MiB"
                    raise RestoreError(
                        Code.PHOTO_TOO_LARGE, reason, "Send a smaller file.", photo=name
                    )
    except (
        requests.RequestException,
        HTTPError,
        ValueError,
    ) as error:  # ValueError: what is no address to the libraries below
        reason = f"could not be downloaded ({str(error)[:200]})"
        if time.monotonic() >= ends_s:
            reason = f"did not arrive within {addresses.TOTAL_TIMEOUT_S:.0f} s"
        raise RestoreError(Code.PHOTO_MISSING, reason, remedy, photo=name) from error
    if time.monotonic() >= ends_s:  # a connection that is shut may look like an end
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"did not arrive within {addresses.TOTAL_TIMEOUT_S:.0f} s",
            remedy,
            photo=name,
        )
    return bytes(data)


def _decoded(uri: str, name: str) -> bytes:
    head, comma, body = uri.partition(",")
    if not comma:
        raise RestoreError(
            Code.PHOTO_MISSING,
            "has no comma, so it holds no data",
            "Send data:image/jpeg;base64,...",
            photo=name,
        )
    try:
        data = unquote_to_bytes(body)
        # Line breaks are common in base64, and no fault.
        return (
            base64.b64decode(b"".join(data.split()), validate=True)
            if head.endswith(";base64")
            else data
        )
    except ValueError as error:
        reason = f"is no base64 ({error})"
        raise RestoreError(
            Code.PHOTO_MISSING, reason, "Send data:image/jpeg;base64,...", photo=name
        ) from error
