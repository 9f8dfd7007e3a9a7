"""Reading multipart forms as they arrive, with limits on the size and the number of parts.

Files of a form are passed on chunk by chunk, so that a large upload neither fills the memory nor is
read beyond its limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from restore.errors import Code
from restore.service.bodies import timed_chunks
from restore.service.http_errors import CLOSE, HttpError

MAX_NAME_CHARACTERS = 200

File = TypeVar("File")
Save = Callable[[AsyncIterator[bytes], str, str], Awaitable[File]]
"""Stores a file: its content, the name that the client gave, and its media type."""


@dataclass(frozen=True)
class FormLimits:
    """Limits of one form.

    Attributes:
        files: number of files.
        fields: number of other parts.
        field_bytes: bytes of one of them.
    """

    files: int
    fields: int = 80
    field_bytes: int = 256 * 1024


@dataclass
class Form(Generic[File]):
    """A form that was read completely.

    Attributes:
        fields: names and values, in order; a name may be there more than once.
        files: names of the inputs and the stored files, in order.
    """

    fields: list[tuple[str, str]] = field(default_factory=list)
    files: list[tuple[str, File]] = field(default_factory=list)


@dataclass(frozen=True)
class _Begin:
    """The start of a part: the name of its input, and that of its file, if it is one."""

    name: str
    filename: str | None
    content_type: str


class _End:
    """The end of a part."""


async def read_form(
    request: Request,
    save: Save[File],
    limits: FormLimits,
    discard: Callable[[File], Awaitable[object]],
) -> Form[File]:
    """Read a multipart form, and store its files while they arrive.

    Args:
        save: stores one file; what it raises ends the request.
        discard: removes a stored file; called for each one if the form is refused.

    Raises:
        HttpError: 408, 413 or 422.
        ClientDisconnect: the client has left.
    """
    form: Form[File] = Form()
    try:
        async for part in _Reader(request).parts():
            await _add_part(form, part, save, limits)
    except BaseException:
        for _, stored in form.files:
            await discard(stored)
        raise
    return form


async def _add_part(form: Form[File], part: Part, save: Save[File], limits: FormLimits) -> None:
    if part.filename is None:
        if len(form.fields) >= limits.fields:
            raise _invalid(f"the form has more than {limits.fields} fields")
        form.fields.append((part.name, await part.text(limits.field_bytes)))
        return
    if not part.filename:  # browsers send this for an input without a chosen file
        if await part.text(1):
            raise _invalid(f"the file '{part.name}' has no name")
        return
    if len(form.files) >= limits.files:
        raise _invalid(f"the form has more than {limits.files} files")
    form.files.append((part.name, await save(part.chunks(), part.filename, part.content_type)))


class Part:
    """One part of a form. Its content can be read once, before the next part."""

    def __init__(self, begin: _Begin, reader: _Reader) -> None:
        self.name, self.filename, self.content_type = begin.name, begin.filename, begin.content_type
        self._reader = reader

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content as it arrives."""
        while not isinstance(event := await self._reader.next_event(), _End):
            assert isinstance(event, bytes)
            yield event

    async def text(self, max_bytes: int) -> str:
        """Return the content as text.

        Raises:
            HttpError: 422 if it is longer than the limit or not UTF-8.
        """
        content = bytearray()
        async for chunk in self.chunks():
            content += chunk
            if len(content) > max_bytes:
                raise _invalid(f"the field '{self.name}' has more than {max_bytes} bytes")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise _invalid(f"the field '{self.name}' is not UTF-8 text") from error


class _Reader:
    """Turns the body of a request into the parts of a form."""

    def __init__(self, request: Request) -> None:
        self._chunks = timed_chunks(request)
        self._events: deque[_Begin | bytes | _End] = deque()
        self._headers: dict[bytes, bytes] = {}
        self._header_name, self._header_value = bytearray(), bytearray()
        content_type = request.headers.get("content-type", "")
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise _invalid("the form has no boundary in its header Content-Type")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._headers.clear,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": lambda: self._events.append(_End()),
                },
            )
        except FormParserError as error:
            raise _invalid("the boundary of the form is not valid") from error

    async def parts(self) -> AsyncIterator[Part]:
        """Yield the parts; what the caller does not read of one is skipped."""
        while await self._has_event():
            event = self._events.popleft()
            if isinstance(event, _Begin):
                yield Part(event, self)

    async def next_event(self) -> _Begin | bytes | _End:
        """Return the next event of a part that has begun.

        Raises:
            HttpError: 408 or 422.
        """
        if not await self._has_event():
            raise _invalid("the form ends within a part")
        return self._events.popleft()

    async def _has_event(self) -> bool:
        """Read on until there is an event; return False at the end of the form."""
        while not self._events:
            chunk = await anext(self._chunks, None)
            try:
                if chunk is None:
                    self._parser.finalize()
                    return False
                self._parser.write(chunk)
            except FormParserError as error:
                raise _invalid("the form is damaged") from error
        return True

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        options = parse_options_header(self._headers.get(b"content-disposition"))[1]
        if b"name" not in options:
            raise _invalid("a part of the form has no name")
        filename = options.get(b"filename")
        content_type = parse_options_header(self._headers.get(b"content-type"))[0]
        self._events.append(
            _Begin(
                _text(options[b"name"]),
                None if filename is None else _text(filename),
                _text(content_type) or "application/octet-stream",
            )
        )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])


def _text(value: bytes) -> str:
    """Decode a name, without the characters that are not printable."""
    text = value.decode("utf-8", "replace")[:MAX_NAME_CHARACTERS]
    return "".join(character for character in text if character.isprintable())


def _invalid(reason: str) -> HttpError:
    return HttpError(
        422,
        Code.REQUEST_INVALID,
        reason,
        "Send a form with the photos as files and the options as fields.",
        headers=CLOSE,
    )
