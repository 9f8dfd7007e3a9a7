"""The inputs of public bug reports: files that the scripts of the shared folder generate."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WITHOUT_PHOTO = frozenset({"lying", "p3"})
"""Scripts that take a folder only."""

ADDS_DAMAGE = "cracks"
"""The script whose files are its photo with added damage."""

MASKED_PHOTO = "ph.png"
"""The photo of masks.py, to which its masks belong."""


@dataclass(frozen=True)
class BugInput:
    """A generated file.

    Attributes:
        script: name of the script that wrote it.
        path: the photo.
        masks: masks that people send for it.
        undamaged: the photo that damage was added to, if the script does that.
    """

    script: str
    path: Path
    masks: tuple[Path, ...] = ()
    undamaged: Path | None = None

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}"


def generate(scripts: Path, photos: Sequence[Path], folder: Path) -> Iterator[BugInput]:
    """Run every script for every photo.

    Args:
        scripts: the folder of the scripts.
        photos: the photos from which the inputs are made.
        folder: where to write; one subfolder for each script and photo.
    """
    for script in sorted(scripts.glob("*.py")):
        sources = [None] if script.stem in WITHOUT_PHOTO else photos
        for source in sources:
            target = folder / (script.stem if source is None else f"{script.stem}-{source.stem}")
            target.mkdir(parents=True, exist_ok=True)
            arguments = [str(target)] if source is None else [str(source), str(target)]
            subprocess.run([sys.executable, str(script), *arguments], check=True)
            yield from _inputs_in(target, script.stem, source)


def _inputs_in(folder: Path, script: str, source: Path | None) -> Iterator[BugInput]:
    files = sorted(folder.iterdir())
    masks = tuple(path for path in files if path.name.startswith("mask_"))
    for path in files:
        if path not in masks:
            undamaged = source if script == ADDS_DAMAGE else None
            yield BugInput(script, path, masks if path.name == MASKED_PHOTO else (), undamaged)
