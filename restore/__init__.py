"""Restore and enlarge photos with official networks, or with small embedded ones.

    from restore import Restorer
    restorer = Restorer(weights="lite")
    results = restorer.run("upscale", "a.jpg", scale=2)  # or bytes, a file, an array, a PIL image
    results.save_as("large.png")  # or results.photos[0].to_image()

Everything that a caller can act on is a `RestoreError` with a `Code`; what was degraded is a
warning in `results.reports`. `help(Restorer)` and docs/python.md describe the rest.

Importing this package does not import torch; the first use of `Restorer` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from restore.errors import Code, RestoreError
from restore.version import __version__

if TYPE_CHECKING:
    from restore.imaging.photo import Photo, open_photo
    from restore.options.inputs import Inputs
    from restore.report import Report
    from restore.restorer import Restorer
    from restore.results import Results

__all__ = [
    "Restorer",
    "Results",
    "Photo",
    "open_photo",
    "Inputs",
    "Report",
    "RestoreError",
    "Code",
    "__version__",
]

_MODULES = {
    "Restorer": "restore.restorer",
    "Results": "restore.results",
    "Photo": "restore.imaging.photo",
    "open_photo": "restore.imaging.photo",
    "Inputs": "restore.options.inputs",
    "Report": "restore.report",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'restore' has no attribute '{name}'")
    import importlib  # noqa: PLC0415 - only for the first use of a heavy name

    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """List the public names also before their first use, for completion in shells and notebooks."""
    return sorted({*globals(), *__all__})
