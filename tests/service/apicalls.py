"""Calls of the HTTP API without a network: the application runs in the process of the tests."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Mapping
from typing import Any

import httpx
from PIL import Image

from restore.service.app import create_app
from restore.service.records import Job
from restore.service.service import Service

BASE = "http://127.0.0.1:8000"
MODEL = "restore/restore"


class Api:
    """The application of a service without workers.

    Attributes:
        service: the service; `finish` plays its worker.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        # An unexpected error is answered with 500, as over a network.
        self._transport = httpx.ASGITransport(create_app(service), raise_app_exceptions=False)

    def __call__(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request, and return the response."""

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url=BASE) as client:
                return await client.request(method, path, **request)

        return asyncio.run(send())

    def create(
        self, inputs: Mapping[str, Any], headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Create a prediction."""
        body = {"input": inputs, **more}
        return self("POST", "/v1/predictions", json=body, headers=headers)

    def upload(self, content: bytes = b"\xff\xd8photo", name: str = "a.jpg") -> dict[str, Any]:
        """Upload a file, and return its metadata."""
        response = self("POST", "/v1/files", files={"content": (name, content, "image/jpeg")})
        assert response.status_code == 201, response.text
        metadata: dict[str, Any] = response.json()
        return metadata

    def finish(self, job_id: str, results: Mapping[str, bytes]) -> Job:
        """Take the oldest job, which must be this one, and end it with results by name."""
        service = self.service
        job = service.jobs.claim("worker-1", "gateway", 60.0)
        assert job is not None
        assert job.id == job_id
        stored = [
            service.files.save_bytes(
                content, owner=job.owner, name=name, content_type="image/jpeg", job_id=job.id
            )
            for name, content in results.items()
        ]
        assert service.jobs.succeed(
            job.id,
            job.attempt,
            output=[f"file:{each.id}" for each in stored],
            reports=[{"photo": name} for name in results],
            predict_s=1.5,
        )
        ended = service.jobs.get(job.id)
        assert ended is not None
        return ended


def data_uri(content: bytes, media_type: str = "image/jpeg") -> str:
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def jpeg(level: int = 120, width_px: int = 32) -> bytes:
    """Encode a JPEG with one grey level."""
    buffer = io.BytesIO()
    Image.new("RGB", (width_px, width_px + 8), (level,) * 3).save(buffer, "JPEG")
    return buffer.getvalue()


def detail(response: httpx.Response, status: int, code: str) -> str:
    """Check that a response is a problem with a status and a code, and return its detail."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    assert (response.status_code, problem["status"]) == (status, status), problem
    assert problem["title"]
    text: str = problem["detail"]
    assert text.startswith(f"[{code}] "), text
    return text
