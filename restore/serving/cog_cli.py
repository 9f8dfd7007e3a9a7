"""Telling whether this server runs for one command of Cog's command line, such as `cog predict`.

That command starts the server in a container, sends one request and stops it. The container's port
is published on 127.0.0.1 of the user's machine, and the user's project is mounted as the working
directory. `--json '{"images": ["data/1.jpg"]}'` then names a file that the user has in that folder:
the command line sends items of lists as they are, so that `@` before a file name does not help.

The container has no setting that says so. `serves_cog_cli` therefore requires all the traces of the
command (pkg/predict/predictor.go and pkg/cli/predict.go of Cog 0.22), which no request can set. A
version of Cog that leaves other traces is treated as a server, which refuses paths.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

WORKING_DIRECTORY = Path("/src")
CONTAINER_MARK = Path("/.dockerenv")
CLI_ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "LOG_FORMAT": ("console",),
    "COG_LOG_LEVEL": ("warning", "debug"),
}
"""Variables that `cog predict` sets for its container, with their possible values."""

SERVE_ARGUMENT = "--await-explicit-shutdown"
"""Argument of the server that `cog serve` passes and `cog predict` does not."""


def serves_cog_cli(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether this process serves one command of Cog's command line."""
    return (
        all(environment.get(name) in values for name, values in CLI_ENVIRONMENT.items())
        and CONTAINER_MARK.exists()
        and Path.cwd() == WORKING_DIRECTORY
        and os.path.ismount(WORKING_DIRECTORY)
        and SERVE_ARGUMENT not in _arguments_of(os.getppid())
    )


def file_in_project(name: str) -> Path | None:
    """Return the file that a path names below the working directory.

    Args:
        name: the path; `@` before it is ignored.

    Returns:
        The file, or None for any other path: an absolute one, one that leaves the directory, also
        through a symbolic link, or one with a hidden part, such as `.env`.
    """
    relative = Path(name.removeprefix("@"))
    try:
        folder, path = Path.cwd().resolve(), relative.resolve()
    except (OSError, ValueError, RuntimeError):  # such as a NUL character or a loop of links
        return None
    if relative.is_absolute() or not path.is_relative_to(folder) or not path.is_file():
        return None
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return None if is_hidden else path


def _arguments_of(process: int) -> list[str]:
    """Return the command line of a process."""
    return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
