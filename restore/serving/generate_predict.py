"""Generate predict.py from `restore.options`: `python -m restore.serving.generate_predict`.

`cog build` reads the inputs of the predictor from the source of predict.py without running it. It
accepts literals only: a bound, a default or a list of choices that is computed is dropped without
a warning. The source is therefore generated, and a test fails if the file is out of date.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from restore.serving.folder import PREDICTOR_FILE, PROJECT
from restore.serving.inputs import CogInput, cog_inputs

MAX_LINE_CHARACTERS = 100

_TYPES = {"photo": "Path", "photos": "list[Path]"}

_HEADER = '''\
"""The Cog predictor: the inputs of a request, and one call into `restore`.

Generated from restore/options by `python -m restore.serving.generate_predict`; do not edit it.
Cog reads the inputs without running this file, so they are written as literals.
"""

from typing import Optional

from cog import BasePredictor, Input, Path

from restore.serving.worker import Worker


class Predictor(BasePredictor):
    """Restores one to four photos per request."""

    def setup(self) -> None:
        """Load the networks named by RESTORE_PRELOAD, or all of them if it is not set."""
        self.worker = Worker()

    def predict(
        self,
'''

_BODY = '''\
    ) -> list[Path]:
        """Restore the photos and return one file for each, in order."""
        response = self.worker.respond(
'''

_FOOTER = """\
        )
        self.record_metric("photos", response.reports)
        return [Path(path) for path in response.paths]
"""


def predict_source() -> str:
    """Return the source of predict.py, formatted as ruff formats it."""
    inputs = cog_inputs()
    parameters = [line for cog_input in inputs for line in _parameter(cog_input)]
    arguments = [f"{cog_input.name}={cog_input.name}," for cog_input in inputs]
    return (
        _HEADER
        + "".join(f"        {line}\n" for line in parameters)
        + _BODY
        + "".join(f"            {line}\n" for line in arguments)
        + _FOOTER
    )


def write_predict(folder: Path) -> Path:
    """Write predict.py into a folder, unless the file is up to date, and return its path."""
    path = folder / PREDICTOR_FILE
    source = predict_source()
    if not path.exists() or path.read_text() != source:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(source)
        temporary.replace(path)
    return path


def _parameter(cog_input: CogInput) -> Iterator[str]:
    kind = _TYPES.get(cog_input.kind, cog_input.kind)
    yield f"{cog_input.name}: {f'Optional[{kind}]' if cog_input.optional else kind} = Input("
    yield f"    description={_literal(cog_input.description)},"
    if cog_input.choices:
        yield from _choices(cog_input.choices)
    for name, value in (("ge", cog_input.minimum), ("le", cog_input.maximum)):
        if value is not None:
            yield f"    {name}={value},"
    yield f"    default={_literal(cog_input.default)},"
    yield "),"


def _choices(choices: tuple[str, ...]) -> Iterator[str]:
    line = f"    choices=[{', '.join(_literal(choice) for choice in choices)}],"
    if len(line) + 8 <= MAX_LINE_CHARACTERS:
        yield line
        return
    yield "    choices=["
    for choice in choices:
        yield f"        {_literal(choice)},"
    yield "    ],"


def _literal(value: object) -> str:
    """Write a value as a Python literal that Cog's analyser can read.

    Raises:
        ValueError: for text that would need an escape sequence, which the analyser does not decode.
    """
    if not isinstance(value, str):
        return repr(value)
    if not value.isprintable() or {'"', "\\"} & set(value):
        raise ValueError(f"Cog cannot read this text from a source file: {value!r}")
    return f'"{value}"'


def main() -> int:
    """Write predict.py of this checkout."""
    sys.stdout.write(f"{write_predict(PROJECT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
