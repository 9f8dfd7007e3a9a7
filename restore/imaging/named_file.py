"""A file with a name, without the imports of decoding: commands start faster."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class NamedFile(NamedTuple):
    """A file with the name by which the caller knows it."""

    name: str
    path: Path
