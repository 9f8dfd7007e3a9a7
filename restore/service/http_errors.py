"""Errors with the HTTP status and headers of their response."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from restore.errors import Code, RestoreError

CLOSE: Mapping[str, str] = MappingProxyType({"connection": "close"})
"""Headers of a response that is sent although the rest of the request has not been read."""


class HttpError(RestoreError):
    """The refusal of a request, whose HTTP status does not follow from its code alone.

    Attributes:
        status: HTTP status.
        headers: further headers of the response.
    """

    def __init__(
        self,
        status: int,
        code: Code,
        reason: str,
        remedy: str,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(code, reason, remedy)
        self.status, self.headers = status, headers


def retry_later(code: Code, reason: str, remedy: str, retry_after_s: int) -> HttpError:
    """Create an error with status 429 and the header Retry-After."""
    return HttpError(429, code, reason, remedy, headers={"retry-after": str(max(1, retry_after_s))})
