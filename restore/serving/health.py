"""The status of Cog's server, as GET /health-check says it, and the answer when it has ended.

Imports the standard library only.
"""

from __future__ import annotations

import http.client
import json
from contextlib import closing, suppress

HOST = "127.0.0.1"
TIMEOUT_S = 5.0
INTERRUPTED = {
    "error": "[E504] the server was started again while it worked on this request. Send it again.",
    "status": "failed",
}
"""The answer of the front to a request whose server has ended."""


def health_status(port: int) -> str | None:
    """Return the status of Cog's server on 127.0.0.1, or None if it does not answer."""
    with (
        closing(http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)) as connection,
        suppress(OSError, http.client.HTTPException, ValueError, KeyError, TypeError),
    ):
        connection.request("GET", "/health-check")
        return str(json.loads(connection.getresponse().read())["status"])
    return None
