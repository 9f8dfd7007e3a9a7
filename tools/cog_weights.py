"""Write the commands that download the weights into cog.yaml from weights/manifest.toml.

python tools/cog_weights.py
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from restore.models.bake import bake_commands
from restore.models.catalog import Catalog
from restore.options import CATALOG_TASKS

FILE = Path(__file__).resolve().parents[1] / "cog.yaml"
WEIGHTS_FOLDER = re.compile(r"^  - RESTORE_WEIGHTS_DIR=(\S+)$", re.MULTILINE)
COMMANDS = re.compile(r"(?<=\n  run:\n)(?:    - .*\n)+")


def with_commands(text: str) -> str:
    """Return the text of cog.yaml with the present commands.

    Raises:
        ValueError: the text has no list `build.run` or no RESTORE_WEIGHTS_DIR.
    """
    folder = WEIGHTS_FOLDER.search(text)
    if not folder or not COMMANDS.search(text):
        raise ValueError("cog.yaml needs the list build.run and RESTORE_WEIGHTS_DIR")
    tasks = {task for several in CATALOG_TASKS.values() for task in several}
    commands = bake_commands(Catalog.load(), tasks, folder[1])
    # A JSON string is a YAML string too.
    lines = "".join(f"    - {json.dumps(command)}\n" for command in commands)
    return COMMANDS.sub(lambda _: lines, text, count=1)


if __name__ == "__main__":
    FILE.write_text(with_commands(FILE.read_text()))
