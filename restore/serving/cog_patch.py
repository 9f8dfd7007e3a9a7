"""Patch of Cog's input types, so that URLs and data URIs reach predict() unread.

Cog reads them itself before it calls predict(), without limits on size, time or address and
without our error codes, and it leaves the files of a failed request behind. It has no setting for
this, so the methods of its classes are replaced; `uploads` then reads the URLs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cog.types import Path as CogPath
from cog.types import URLPath

from restore.serving.fetch import DATA_SCHEME, URL_SCHEMES, has_scheme


class UnreadSource(CogPath):  # type: ignore[misc] # Cog has no types
    """A URL or data URI in the place of a file.

    Attributes:
        source: the URL or data URI.
    """

    source: str

    def unlink(self, missing_ok: bool = False) -> None:
        """Do nothing: Cog calls this to remove its temporary file, and there is none."""


def leave_sources_unread() -> None:
    """Replace the methods of Cog's classes that read URLs and data URIs."""
    CogPath.validate, URLPath.convert = staticmethod(_validate), _convert


def _validate(value: Any) -> Path:  # noqa: ANN401 - any JSON value of a request
    if isinstance(value, str) and has_scheme(value, DATA_SCHEME, *URL_SCHEMES):
        url: Path = URLPath(source=value, filename="upload", fileobj=None)
        return url
    path: Path = value if isinstance(value, Path) else CogPath(value)
    return path


def _convert(self: Any) -> Path:  # noqa: ANN401 - Cog's class has no types
    unread = UnreadSource("upload")
    unread.source = self.source
    return unread
