"""Reading the JSON answer of a Cog server while it arrives, with its results going to files.

Cog sends each result as a data URI in the list `output`. Results can have hundreds of megabytes, so
each one is decoded piece by piece, and goes to the disk if it is not small. The rest of the answer
is small.
"""

from __future__ import annotations

import base64
import json
import re
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

MAX_REST_BYTES = 32 * 2**20
"""Limit of an answer without its results: logs, reports and messages."""
MAX_RESULT_IN_MEMORY_BYTES = 2**20
MAX_HEADER_BYTES = 256
"""Limit of the part of a data URI before its data."""

_STRUCTURE = re.compile(rb'["{}\[\]]')
_STRING_PART = re.compile(rb'["\\]')
_HEADER = re.compile(rb"data:([^,\"\\]{0,200});base64,")
_IN_OUTPUT = b"{["
"""The brackets that are open around the items of a list of the answer itself."""


class AnswerError(ValueError):
    """The answer is not one of a Cog server, or was cut off."""


@dataclass(frozen=True)
class Output:
    """A result.

    Attributes:
        file: its content, in memory or in a file without a name.
        content_type: media type, as the worker names it.
        size: bytes; known when the answer is complete.
    """

    file: tempfile.SpooledTemporaryFile[bytes]
    content_type: str
    size: int = 0


@dataclass(frozen=True)
class Answer:
    """A complete answer.

    Attributes:
        body: the JSON object without the results.
        outputs: the results, in order.
    """

    body: Mapping[str, Any]
    outputs: tuple[Output, ...]


class AnswerReader:
    """Parses an answer; call `feed` with each piece, then `finish`.

    A context manager: the results exist until the end of the block.

    Args:
        folder: where large results are written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._files = ExitStack()
        self._outputs: list[Output] = []
        self._rest = bytearray()
        self._waiting = bytearray()
        self._open_brackets = bytearray()
        self._in_string = False
        self._is_in_result = False

    def __enter__(self) -> AnswerReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._files.close()

    def feed(self, piece: bytes) -> None:
        """Read the next piece.

        Raises:
            AnswerError: for data that is not base64, or too much other text.
            OSError: a file cannot be written.
        """
        self._waiting += piece
        while self._waiting and self._step():
            pass
        if len(self._rest) > MAX_REST_BYTES:
            raise AnswerError(f"the answer has more than {MAX_REST_BYTES / 2**20:.0f} MiB of text")

    def finish(self) -> Answer:
        """Return the answer.

        Raises:
            AnswerError: the answer is not complete.
        """
        try:
            body = json.loads(self._rest + self._waiting)
        except ValueError as error:
            raise AnswerError(f"the answer is not valid JSON ({error})") from error
        if not isinstance(body, dict):
            raise AnswerError("the answer is not a JSON object")
        outputs = [replace(output, size=output.file.tell()) for output in self._outputs]
        for output in outputs:
            output.file.seek(0)
        return Answer(body, tuple(outputs))

    def _step(self) -> bool:
        """Read a part of the waiting bytes; return False if more are needed first."""
        if self._is_in_result:
            return self._decode(self._outputs[-1])
        return self._read_string() if self._in_string else self._read_structure()

    def _read_structure(self) -> bool:
        found = _STRUCTURE.search(self._waiting)
        if not found:
            self._keep(len(self._waiting))
            return False
        mark = found[0]
        if mark == b'"' and self._open_brackets == _IN_OUTPUT:
            return self._begin_item(found.start())
        self._in_string = mark == b'"'
        if mark in b"{[":
            self._open_brackets += mark
        elif mark in b"}]":
            del self._open_brackets[-1:]
        self._keep(found.end())
        return True

    def _begin_item(self, quote: int) -> bool:
        """Begin a string in a list of the answer: a result, or an ordinary text."""
        start = quote + 1
        header = _HEADER.match(self._waiting, start)
        if header:
            content_type, end = header[1].decode(errors="replace"), header.end()
            file = self._files.enter_context(
                tempfile.SpooledTemporaryFile(  # noqa: SIM115 - `__exit__` closes it
                    MAX_RESULT_IN_MEMORY_BYTES, dir=self._folder
                )
            )
            # The number of the result takes its place.
            self._rest += self._waiting[:quote] + b"%d" % len(self._outputs)
            self._outputs.append(Output(file, content_type))
            self._is_in_result = True
            del self._waiting[:end]
            return True
        begin = bytes(self._waiting[start : start + MAX_HEADER_BYTES])
        if len(begin) < MAX_HEADER_BYTES and not _STRING_PART.search(begin):
            return False
        self._in_string = True
        self._keep(start)
        return True

    def _read_string(self) -> bool:
        found = _STRING_PART.search(self._waiting)
        if not found:
            self._keep(len(self._waiting))
            return False
        if found[0] == b'"':
            self._in_string = False
            self._keep(found.end())
            return True
        if found.end() == len(self._waiting):
            return False  # the escaped character has not arrived
        self._keep(found.end() + 1)
        return True

    def _decode(self, output: Output) -> bool:
        quote = self._waiting.find(b'"')
        is_end = quote >= 0
        size = quote if is_end else len(self._waiting) // 4 * 4
        try:
            output.file.write(base64.b64decode(self._waiting[:size], validate=True))
        except ValueError as error:
            raise AnswerError(f"a result is not valid base64 ({error})") from error
        del self._waiting[: size + is_end]
        self._is_in_result = not is_end
        return is_end

    def _keep(self, size: int) -> None:
        self._rest += self._waiting[:size]
        del self._waiting[:size]
