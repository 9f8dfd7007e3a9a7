"""Names and media types of stored files, as they are shown and sent."""

from __future__ import annotations

import re

MAX_NAME_CHARACTERS = 200
DEFAULT_NAME = "photo"
DEFAULT_TYPE = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")


def clean_name(name: str) -> str:
    """Return a name for display and downloads: without folders and control characters."""
    last = re.split(r"[/\\]", name)[-1]
    printable = "".join(character for character in last if character.isprintable())
    return printable.strip().strip(".")[-MAX_NAME_CHARACTERS:] or DEFAULT_NAME


def clean_type(content_type: str) -> str:
    """Return a media type without parameters, or the one of unknown bytes."""
    essence = content_type.partition(";")[0].strip().lower()
    return essence if _MEDIA_TYPE.fullmatch(essence) else DEFAULT_TYPE
