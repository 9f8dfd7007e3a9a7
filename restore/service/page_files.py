"""The files of the web page: addresses, cache headers and security headers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "page"

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""The page loads nothing from other hosts and has no inline scripts or styles. Photos and results
are shown from memory (blob:), and the list of recent results has small pictures (data:)."""

SECURITY_HEADERS: Mapping[str, str] = MappingProxyType(
    {
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
)
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"
_VERSION_MARK = b"{version}"
"""Stands for the version of the files in index.html."""

_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class PageFiles:
    """The files of the page, in memory.

    index.html is at `/` and is revalidated on every visit. All other files are at
    `/page/VERSION/...`, where VERSION is a checksum of all files: they are cached for a year, and a
    visitor never gets files of different versions of the page.

    Attributes:
        version: checksum of all files.
        files: the contents by path below `/page/VERSION/`.
        index: index.html with the addresses of this version.
    """

    def __init__(self, folder: Path = FOLDER) -> None:
        """Read all files.

        Args:
            folder: contains index.html and the files that it names.

        Raises:
            OSError: a file cannot be read.
        """
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        self.files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        digest = hashlib.sha256()
        for name, content in self.files.items():
            digest.update(f"{name} {len(content)}\n".encode())
            digest.update(content)
        self.version = digest.hexdigest()[:16]
        self.index = self.files.pop("index.html").replace(_VERSION_MARK, self.version.encode())

    def routes(self) -> list[Route]:
        """Return the routes of the page, for a Starlette or FastAPI application."""
        return [
            Route("/", self._get_index, name="page"),
            Route("/page/{version}/{path:path}", self._get_file, name="page_file"),
        ]

    async def _get_index(self, request: Request) -> Response:
        etag = f'"{self.version}"'
        headers = {**SECURITY_HEADERS, "Cache-Control": REVALIDATE, "ETag": etag}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self.index, headers=headers, media_type="text/html")

    async def _get_file(self, request: Request) -> Response:
        path = request.path_params["path"]
        content = self.files.get(path)
        if content is None or request.path_params["version"] != self.version:
            text = "There is no such file in this version of the page. Load the page again."
            headers = {**SECURITY_HEADERS, "Cache-Control": "no-store"}
            return Response(text, status_code=404, headers=headers, media_type="text/plain")
        headers = {**SECURITY_HEADERS, "Cache-Control": IMMUTABLE}
        return Response(content, headers=headers, media_type=_media_type(path))


def _media_type(path: str) -> str:
    return _MEDIA_TYPES.get(Path(path).suffix, "text/plain")
