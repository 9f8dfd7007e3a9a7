"""Where the training programs read and write."""

from __future__ import annotations

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LITE_WEIGHTS = PROJECT / "weights" / "lite"
DOCS = PROJECT / "docs"
PHOTO_SUFFIXES = frozenset({".jpg", ".png"})


def list_photos(folder: Path) -> list[Path]:
    """Return the photos of a folder in name order."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)
