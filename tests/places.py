"""Folders that tests use. Processes that tests start can import this at once, unlike conftest."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("RESTORE_SHARED", PROJECT.parent / "shared"))
