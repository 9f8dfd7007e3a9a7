"""The working directory of Cog's server: the checkout, or a cache directory of the user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from restore.errors import Code, RestoreError, system_reason

PROJECT = Path(__file__).resolve().parents[2]
PREDICTOR_FILE = "predict.py"


def server_folder() -> Path:
    """Return the folder that Cog's server runs in, which holds predict.py and `.cog/`.

    An installed package has no predict.py and may lie in a folder that is not writable, so its
    server runs in the user's cache directory; `launcher.start` writes predict.py there.
    """
    is_checkout = all((PROJECT / name).is_file() for name in (PREDICTOR_FILE, "cog.yaml"))
    return PROJECT if is_checkout else platformdirs.user_cache_path("restore") / "server"


@contextmanager
def explained_failure(folder: Path) -> Iterator[None]:
    """Turn an OSError while files of the server are written into an error with a remedy.

    Raises:
        RestoreError: SERVER if the folder is not writable.
    """
    try:
        yield
    except OSError as error:
        raise RestoreError(
            Code.SERVER,
            f"the folder of the server, '{folder}', cannot be written to ({system_reason(error)})",
            "Make it writable; the environment variable XDG_CACHE_HOME selects another place.",
        ) from error
