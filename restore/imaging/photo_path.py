"""The path of a photo: what a caller gave as a path, and what looks like one and is none."""

from __future__ import annotations

import os
import re
from pathlib import Path

from restore.errors import Code, RestoreError
from restore.options.base import shortened

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|data:(image|application)/|data:;base64,", re.ASCII)


def photo_path(source: str | os.PathLike[str], name: str | None = None) -> Path:
    """Return the path of a photo.

    Args:
        source: the path.
        name: the photo's name in messages; None if it has none but its path.

    Raises:
        RestoreError: PHOTO_MISSING for an empty text, a URL, or a path of bytes.
    """
    text: object = os.fspath(source)
    if not isinstance(text, str):
        reason = f"the path {shortened(text)} is not a text"
        remedy = "Pass os.fsdecode(path)."
    elif not text:
        reason, remedy = "the path is empty", "Pass the path of a file."
    elif isinstance(source, str) and _URL.match(text):
        reason = f"{shortened(text)} is a URL, and not a path"
        remedy = "Pass the content of the file as bytes."
    else:
        return Path(text)
    raise RestoreError(Code.PHOTO_MISSING, reason, remedy, photo=name)
