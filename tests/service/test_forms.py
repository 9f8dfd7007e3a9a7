"""Tests of reading forms and bodies as they arrive."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request

from restore.errors import Code, RestoreError
from restore.service import bodies
from restore.service.bodies import check_declared_size
from restore.service.forms import MAX_NAME_CHARACTERS, Form, FormLimits, read_form
from restore.service.http_errors import HttpError

LIMITS = FormLimits(files=2, fields=3, field_bytes=10)
END = b"--b--\r\n"


def part(name: str, content: bytes, filename: str | None = None, content_type: str = "") -> bytes:
    header = f'--b\r\nContent-Disposition: form-data; name="{name}"'
    header += f'; filename="{filename}"' if filename is not None else ""
    header += f"\r\nContent-Type: {content_type}" if content_type else ""
    return header.encode() + b"\r\n\r\n" + content + b"\r\n"


class Store:
    """Keeps what is saved, and what is discarded again."""

    def __init__(self, max_bytes: int = 10**9) -> None:
        self.max_bytes = max_bytes
        self.discarded: list[str] = []

    async def save(self, stream: AsyncIterator[bytes], name: str, content_type: str) -> str:
        content = b""
        async for chunk in stream:
            content += chunk
            if len(content) > self.max_bytes:
                raise RestoreError(Code.PHOTO_TOO_LARGE, "too large", "Send less.")
        return f"{name}|{content_type}|{content.decode('latin-1')}"

    async def discard(self, stored: str) -> None:
        self.discarded.append(stored)


def request_of(*chunks: bytes, pause_s: float = 0.0, boundary: str = "boundary=b") -> Request:
    """A request whose body arrives in chunks."""
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause_s)
        body = waiting.pop(0) if waiting else b""
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    content_type = f"multipart/form-data; {boundary}".encode()
    scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type)]}
    return Request(scope, receive)


def read(*chunks: bytes, store: Store | None = None, **request: Any) -> Form[str]:
    store = store or Store()
    asked = request_of(*chunks, **request)
    return asyncio.run(read_form(asked, store.save, LIMITS, store.discard))


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_form_is_the_same_however_it_arrives(size: int) -> None:
    file = bytes(range(256)) * 20 + b"\r\n--b-\r\n"
    body = (
        part("scale", b"2") + part("image", file, "a.jpg", "image/jpeg") + part("x", "é".encode())
    )
    body += part("image", b"", "") + END
    form = read(*(body[start : start + size] for start in range(0, len(body), size)))
    assert form.fields == [("scale", "2"), ("x", "é")]
    assert form.files == [("image", f"a.jpg|image/jpeg|{file.decode('latin-1')}")]


def test_names_have_no_control_characters_and_are_short() -> None:
    body = part("image", b"x", "a\tb\x7f\u202ec" + "d" * 500) + part("m", b"", "n.png") + END
    form = read(body)
    name = form.files[0][1].partition("|")[0]
    assert name == "abc" + "d" * (MAX_NAME_CHARACTERS - 6)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (part("a", b"12345678901") + END, "more than 10 bytes"),
        (part("a", b"1") * 4 + END, "more than 3 fields"),
        (part("a", b"1", "x.jpg") * 3 + END, "more than 2 files"),
        (part("a", b"\xff") + END, "not UTF-8"),
        (part("a", b"1", "") + END, "has no name"),
        (part("a", b"1"), "damaged|within a part"),
        (part("a", b"1", "x.jpg")[:-2], "damaged|within a part"),
        (b"nonsense", "damaged"),
        (b"--b\r\nContent-Type: text/plain\r\n\r\n1\r\n" + END, "has no name"),
        (b"--b\r\n" + b"x" * 100_000 + b": y\r\n\r\n1\r\n" + END, "damaged"),
        (b"--b\r\n" + b"x: y\r\n" * 1000 + b"\r\n1\r\n" + END, "damaged"),
    ],
)
def test_invalid_form_is_422(body: bytes, words: str) -> None:
    with pytest.raises(HttpError, match=words) as caught:
        read(body)
    assert (caught.value.status, caught.value.code) == (422, Code.REQUEST_INVALID)
    assert caught.value.headers["connection"] == "close"


@pytest.mark.parametrize("boundary", ["", "boundary=", "boundary=" + "b" * 500])
def test_boundary_is_needed(boundary: str) -> None:
    with pytest.raises(HttpError, match="boundary"):
        read(END, boundary=boundary)


def test_files_of_a_refused_form_are_discarded() -> None:
    store = Store(max_bytes=5)
    body = part("a", b"12345", "x.jpg") + part("b", b"123456", "y.jpg") + END
    with pytest.raises(RestoreError, match="too large"):
        read(body, store=store)
    assert store.discarded == ["x.jpg|application/octet-stream|12345"]


def test_form_that_stops_to_arrive_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "STALL_TIMEOUT_S", 0.05)
    store = Store()
    with pytest.raises(HttpError, match="arrived too slowly") as caught:
        read(part("a", b"1", "x.jpg"), part("b", b"1"), END, store=store, pause_s=1.0)
    assert (caught.value.status, store.discarded) == (408, [])


def test_body_that_drips_is_408_although_it_never_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "STALL_TIMEOUT_S", 0.1)
    with pytest.raises(HttpError, match="arrived too slowly"):
        read(part("a", b"", "x.jpg")[:-2], *[b"x"] * 1000, pause_s=0.01)


@pytest.mark.parametrize(("declared", "refused"), [("10", False), ("11", True), ("9" * 99, True)])
def test_declared_size_has_a_limit(declared: str, refused: bool) -> None:
    request = Request({"type": "http", "headers": [(b"content-length", declared.encode())]})
    if not refused:
        check_declared_size(request, 10)
        return
    with pytest.raises(HttpError) as caught:
        check_declared_size(request, 10)
    assert (caught.value.status, caught.value.headers["connection"]) == (413, "close")
