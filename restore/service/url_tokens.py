"""Signed tokens in the URLs of results, which give access to one file until it expires."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

SIGNATURE_BYTES = 24


def new_token(secret: bytes, subject: str, expires_at: datetime) -> str:
    """Return a token for a subject: the time at which it expires, and a signature of both."""
    expires_s = str(int(expires_at.timestamp()))
    return f"{expires_s}.{_signature(secret, subject, expires_s)}"


def is_valid(secret: bytes, subject: str, token: str) -> bool:
    """Return whether a token was made for this subject with this secret and has not expired."""
    expires_s, _, signature = token.partition(".")
    expected = _signature(secret, subject, expires_s)
    if not hmac.compare_digest(signature.encode(errors="replace"), expected.encode()):
        return False
    return datetime.now(UTC).timestamp() < int(expires_s)


def _signature(secret: bytes, subject: str, expires_s: str) -> str:
    message = f"{subject}\n{expires_s}".encode(errors="replace")
    digest = hmac.digest(secret, message, hashlib.sha256)[:SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(digest).decode()
