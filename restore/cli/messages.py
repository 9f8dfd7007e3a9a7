"""Failures of a command: as text with the names of its flags, or as JSON."""

from __future__ import annotations

import codecs
import io
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from restore.errors import Code, RestoreError
from restore.options.flags import with_flags

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_OUTPUT_ERRORS = "restore-names"


def print_every_name() -> None:
    """Let standard output print the names of all files.

    The bytes of a name that is no text are printed as they are, as by `ls`; characters that the
    encoding of the terminal lacks, as escapes.
    """
    codecs.register_error(_OUTPUT_ERRORS, _encode_anyhow)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_OUTPUT_ERRORS)


def _encode_anyhow(error: UnicodeError) -> tuple[str | bytes, int]:
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def on_one_line(text: str) -> str:
    """Return a text with its control characters as escapes: names of files may have some."""
    return _CONTROL_CHARACTER.sub(lambda found: ascii(found[0])[1:-1], text)


def error_with_flags(error: RestoreError) -> RestoreError:
    """Return an error about options with the names of their flags."""
    return RestoreError(
        error.code, with_flags(error.reason), with_flags(error.remedy), photo=error.photo
    )


def usage_error(error: Any) -> RestoreError:  # noqa: ANN401 - Typer does not export its classes
    """Convert a usage error of Typer, such as an unknown option."""
    command = error.ctx.command_path if error.ctx else "restore"
    help_remedy = f"`{command} --help` shows the options."
    name = getattr(error, "option_name", None)
    if name and not hasattr(error, "possibilities"):  # the option exists
        if "requires" in error.message:
            reason, remedy = f"{name} has no value", "Write its value behind it."
        else:
            reason, remedy = f"{name} takes no value", "Leave the value out."
        return RestoreError(Code.OPTION_INVALID, reason, remedy)
    if name:
        similar = getattr(error, "possibilities", None) or ()
        remedy = f"Did you mean {' or '.join(similar)}?" if similar else help_remedy
        if not name.startswith("--"):
            remedy += " Write ./ before the name of a photo that begins with -."
        return RestoreError(Code.OPTION_UNKNOWN, f"there is no option {name}", remedy)
    reason = str(error.format_message()).replace("Value error, ", "").strip().rstrip(".")
    if not reason:  # `restore` alone: the help is printed already
        return RestoreError(Code.OPTION_INVALID, "no photo and no command is given", help_remedy)
    reason, _, suggestion = reason.partition(". Did you mean ")
    remedy = f"Did you mean {suggestion}" if suggestion else help_remedy
    return RestoreError(Code.OPTION_INVALID, reason[:1].lower() + reason[1:], remedy)


def print_failure(error: RestoreError, arguments: Sequence[str]) -> None:
    """Print the failure of a command: as JSON to standard output with `--json`, else as text.

    Args:
        error: why the command was refused.
        arguments: the command line. `predict` answers as Cog's server does.
    """
    if not _asks_for_json(arguments):
        print(f"error: {error}", file=sys.stderr)
        return
    failure: dict[str, object] = {
        "exit_code": 2,
        "error": {"code": error.code, "message": str(error)},
    }
    if arguments[0] == "predict":
        failure = {"status": "failed", "error": str(error)}
    print(json.dumps(failure, indent=2))


def _asks_for_json(arguments: Sequence[str]) -> bool:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(option == "--json" or option.startswith("--json=") for option in options)
