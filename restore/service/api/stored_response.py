"""The content of a stored file as a response."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

INLINE_BYTES = 2**20
"""Files of this size are sent at once. Starlette changes the thread for each step of reading a
file, which costs more than a small file itself."""


def stored_response(
    request: Request, path: Path, headers: Mapping[str, str], media_type: str
) -> Response:
    """Build the response for a file. Blocks.

    Raises:
        FileNotFoundError: the file has been removed.
    """
    response = FileResponse(path, headers=headers, media_type=media_type, stat_result=path.stat())
    if "range" in request.headers or int(response.headers["content-length"]) > INLINE_BYTES:
        return response
    return Response(path.read_bytes(), headers=response.headers)
