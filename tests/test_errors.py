"""Tests of the errors for users, and of what messages say about errors of the operating system."""

import ast
import copy
import errno
import os
import pickle
import socket
from pathlib import Path

import pytest
from places import PROJECT

from restore.errors import Code, RestoreError, system_reason

ERROR = RestoreError(Code.MASK, "it is empty", "Send another one.", photo="a.jpg")
MODULES = sorted((PROJECT / "restore").rglob("*.py"))


@pytest.mark.parametrize(
    "again", [pickle.loads(pickle.dumps(ERROR)), copy.copy(ERROR), copy.deepcopy(ERROR)]
)
def test_error_keeps_its_facts_when_it_is_copied_or_pickled(again: RestoreError) -> None:
    """A pool of processes pickles errors; one that cannot be unpickled breaks the pool."""
    assert type(again) is RestoreError
    assert (again.code, again.reason, again.remedy) == (ERROR.code, ERROR.reason, ERROR.remedy)
    assert (again.photo, str(again), again.args) == ("a.jpg", str(ERROR), ERROR.args)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied"),
        (errno.ENOSPC, "no space left on device"),
        (errno.EROFS, "read-only file system"),
        (errno.EIO, "input/output error"),
    ],
)
def test_error_with_a_number_gives_its_words_only(number: int, words: str) -> None:
    assert system_reason(OSError(number, os.strerror(number), "folder/a.jpg")) == words


def test_error_of_a_file_does_not_repeat_the_path(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as folder:
        tmp_path.read_bytes()
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "a.jpg").read_bytes()
    assert system_reason(folder.value) == "is a directory"
    assert system_reason(missing.value) == "no such file or directory"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("The bucket 'a' does not exist"), "The bucket 'a' does not exist"),
        (ValueError("embedded null byte"), "embedded null byte"),
        (TimeoutError(), "TimeoutError"),
        (
            RuntimeError("Failed to resolve 'a' ([Errno -2] Name or service not known)"),
            "Failed to resolve 'a' (Name or service not known)",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "name or service not known",
        ),
    ],
)
def test_error_of_a_library_gives_its_text_without_numbers(error: Exception, words: str) -> None:
    assert system_reason(error) == words


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_no_message_shows_the_text_of_an_os_error(path: Path) -> None:
    """Such a text has an error number, and a path that the message names already."""
    for handler in ast.walk(ast.parse(path.read_text())):
        if isinstance(handler, ast.ExceptHandler) and "OSError" in caught_names(handler):
            shown = [
                part.value for part in ast.walk(handler) if isinstance(part, ast.FormattedValue)
            ]
            raw = [value for value in shown if ast.unparse(value).split(".")[0] == handler.name]
            allowed = {f"{handler.name}.filename"}
            assert {ast.unparse(value) for value in raw} <= allowed, f"line {handler.lineno}"


def caught_names(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return set()
    return {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
