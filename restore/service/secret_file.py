"""Secrets of the service, in files of the data folder that only its user can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from restore.errors import Code, RestoreError, system_reason

SECRET_BYTES = 32


def secret(folder: Path, name: str) -> bytes:
    """Return the secret of a name, which is created at its first use.

    Several processes that start at the same time get the same secret.

    Args:
        folder: the data folder.
        name: a constant of the program, such as "webhook".

    Raises:
        RestoreError: SERVER if the file cannot be created or read, or has another size.
    """
    path = folder / "secrets" / name
    try:
        if not path.exists():
            _create(path)
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, system_reason(error)) from error
    if len(content) != SECRET_BYTES:
        raise _unusable(path, f"it has {len(content)} bytes instead of {SECRET_BYTES}")
    return content


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 - opens a descriptor
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(handle)
        path.hardlink_to(draft)  # fails if another process was faster
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _unusable(path: Path, reason: str) -> RestoreError:
    return RestoreError(
        Code.SERVER,
        f"the secret in '{path}' cannot be used: {reason}",
        "Make the data folder writable; if the file is damaged, delete it to get a new secret.",
    )
