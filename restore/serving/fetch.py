"""Reading photos from URLs, data URIs and file names."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from restore.errors import Code, RestoreError
from restore.imaging.named_file import NamedFile
from restore.serving.temporary_files import write_temporary

MAX_NAME_CHARACTERS = 80

URL_SCHEMES = ("http://", "https://")
DATA_SCHEME = "data:"
FILE_SCHEME = "file://"
BASE64_MARK = ";base64"


def fetch_photo(source: str, target: Path) -> NamedFile:
    """Make a photo named on the command line available as a file.

    Args:
        source: `@FILE`, `FILE`, a file URL, a data URI, or an http(s) URL.
        target: file for the content of a URL or data URI.

    Raises:
        RestoreError: PHOTO_MISSING if a URL or data URI cannot be read, PHOTO_TOO_LARGE, SERVER if
            its content cannot be written.
    """
    if path := local_file(source):
        return NamedFile(path.name, path)
    name = "data URI" if has_scheme(source, DATA_SCHEME) else _name_in_url(source)
    write_temporary(target, read_url(source, name, public=False), name)
    return NamedFile(name, target)


def local_file(source: str) -> Path | None:
    """Return the file of a photo named on the command line, or None for a URL or data URI.

    Args:
        source: as in `fetch_photo`.
    """
    if has_scheme(source, *URL_SCHEMES, DATA_SCHEME):
        return None
    if has_scheme(source, FILE_SCHEME):
        source = unquote(source[len(FILE_SCHEME) :])
    return Path(source.removeprefix("@"))


def has_scheme(source: str, *schemes: str) -> bool:
    """Return whether a text starts with one of the schemes, in small or capital letters."""
    return source[: max(map(len, schemes))].lower().startswith(schemes)


def read_url(url: str, name: str, *, public: bool) -> bytes:
    """Return the content of a data URI or of an http(s) URL.

    Args:
        name: name of the photo in errors.
        public: refuse hosts that are not on the public internet.

    Raises:
        RestoreError: PHOTO_MISSING, or PHOTO_TOO_LARGE as soon as a download exceeds the limit.
    """
    if has_scheme(url, DATA_SCHEME):
        return _decode_data_uri(url, name)
    # Late, because most commands and requests have no URLs, and `requests` takes a while to import.
    from restore.serving.url_download import download  # noqa: PLC0415

    return download(url, name, public=public)


def _name_in_url(url: str) -> str:
    """Return the file name in a URL, without its query, which may hold a secret."""
    try:
        name = Path(urlsplit(url).path).name or urlsplit(url).hostname or ""
    except ValueError as error:
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"the URL is not valid ({error})",
            "Check the URL.",
            photo=url[:MAX_NAME_CHARACTERS],
        ) from error
    return name[:MAX_NAME_CHARACTERS] or "URL"


def _decode_data_uri(uri: str, name: str) -> bytes:
    header, comma, body = uri.partition(",")
    if not comma:
        raise _data_uri_error("it has no comma", name)
    try:
        data = unquote_to_bytes(body)
        if not header.rstrip().lower().endswith(BASE64_MARK):
            return data
        # Line breaks are common in base64.
        return base64.b64decode(b"".join(data.split()), validate=True)
    except ValueError as error:
        raise _data_uri_error(error, name) from error


def _data_uri_error(cause: object, name: str) -> RestoreError:
    return RestoreError(
        Code.PHOTO_MISSING,
        f"the data URI is not valid ({cause})",
        "Send data:image/jpeg;base64,...",
        photo=name,
    )
