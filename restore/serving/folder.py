"""The working directory of Cog's server: the checkout, or a cache directory of the user."""

from __future__ import annotations

from pathlib import Path

import platformdirs

PROJECT = Path(__file__).resolve().parents[2]
PREDICTOR_FILE = "predict.py"


def server_folder() -> Path:
    """Return the folder that Cog's server runs in, which holds predict.py and `.cog/`.

    An installed package has no predict.py and may lie in a folder that is not writable, so its
    server runs in the user's cache directory; `launcher.start` writes predict.py there.
    """
    is_checkout = all((PROJECT / name).is_file() for name in (PREDICTOR_FILE, "cog.yaml"))
    return PROJECT if is_checkout else platformdirs.user_cache_path("restore") / "server"
