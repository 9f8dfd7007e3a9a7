"""Unguessable ids of jobs, files and deliveries."""

from __future__ import annotations

import re
import secrets
import string

LENGTH = 26
_ALPHABET = string.ascii_lowercase + string.digits
_ID = re.compile(rf"[a-z0-9]{{{LENGTH}}}")


def new_id() -> str:
    """Return a new id: 26 lower-case letters and digits (134 random bits).

    It is usable as a Cog prediction id, a segment of a URL and a file name.
    """
    return "".join(secrets.choice(_ALPHABET) for _ in range(LENGTH))


def is_id(text: str) -> bool:
    """Return whether a text has the form of an id; only such a text may reach the database."""
    return _ID.fullmatch(text) is not None
