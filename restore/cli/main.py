"""The command line: `python -m restore predict | serve | weights | schema | demo`. `predict -i` reads inputs as `cog predict` does."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from tqdm import tqdm

from restore.errors import Code, RestoreError
from restore.imaging.outputs import require_writable
from restore.models.catalog import Catalog
from restore.models.store import WeightStore, render_table, table
from restore.options import CATALOG_TASKS, DEFAULT_TASK
from restore.serving.uploads import NamedFile, fetched

PHOTOS = ("image", "images", "mask", "masks")
"""Inputs that are photos, or lists of them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit code: 0 done, 2 refused (with a coded message on stderr)."""
    arguments = _parser().parse_args(argv)
    # Warnings about photos stand in their reports, which are printed: the log would only say them twice.
    logging.basicConfig(
        level=logging.INFO if arguments.verbose else logging.ERROR,
        format="%(levelname)s %(message)s",
    )
    try:
        code: int = arguments.command(arguments)
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m restore", description="Restores photographs.")
    parser.add_argument("-v", "--verbose", action="store_true", help="log what happens")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    predict = commands.add_parser(
        "predict", help="restore photos", description="Restores one to four photos."
    )
    given = predict.add_mutually_exclusive_group(required=True)
    pair = "an input; @FILE, a URL or a data URI for photos; repeat for lists"
    given.add_argument("-i", "--input", action="append", metavar="NAME=VALUE", help=pair)
    given.add_argument(
        "--json",
        metavar="JSON",
        help="all inputs as JSON, @FILE or @- for standard input; the answer is JSON too",
    )
    predict.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("output"),
        help="folder of the results (default: output)",
    )
    predict.set_defaults(command=_predict)

    serve = commands.add_parser("serve", help="run the Cog HTTP server")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=5000)
    serve.set_defaults(command=_serve)

    weights = commands.add_parser("weights", help="list, fetch and verify weights")
    actions = weights.add_subparsers(required=True, metavar="ACTION")
    for action, text in (
        ("list", "what there is, with licences"),
        ("fetch", "download"),
        ("verify", "hash what is present again"),
    ):
        command = actions.add_parser(action, help=text)
        command.add_argument("tasks", nargs="*", metavar="TASK", help="all tasks unless named")
        command.set_defaults(command=_weights, action=action)

    schema = commands.add_parser(
        "schema", help="write the OpenAPI schema that the Cog server reads"
    )
    schema.set_defaults(command=_schema)

    demo = commands.add_parser("demo", help="restore the sample photos with the embedded weights")
    demo.add_argument("-o", "--output", type=Path, default=Path("out"))
    demo.set_defaults(command=_demo)
    return parser


def _predict(arguments: argparse.Namespace) -> int:
    from restore.restorer import Restorer  # noqa: PLC0415 - imports torch

    given = read_json(arguments.json) if arguments.json is not None else read_pairs(arguments.input)
    task = str(given.pop("task", DEFAULT_TASK))
    require_writable(arguments.output)
    with tempfile.TemporaryDirectory() as scratch, Bars() as bars:
        photos = photos_of(given, ("image", "images"), Path(scratch))
        masks = photos_of(given, ("mask", "masks"), Path(scratch))
        results = Restorer(progress=bars).run(task, photos, masks=masks, **cast(Any, given))
        paths = results.save(arguments.output, with_reports=True)
    reports = [report.to_dict() for report in results.reports]
    if arguments.json is not None:
        print(
            json.dumps(
                {
                    "status": "succeeded",
                    "output": [str(path) for path in paths],
                    "metrics": {"photos": reports},
                },
                indent=2,
            )
        )
        return 0
    for path, photo, result in zip(paths, results.photos, results.reports, strict=False):
        seconds = sum(sum(report.stages_ms.values()) for report in (result, *result.steps)) / 1000.0
        print(
            f"{path}  {photo.width}x{photo.height}  {task} {result.variant} on {result.device}, {seconds:.1f} s"
        )
        for step in result.steps:
            print(f"  {step.task} {step.variant}{f': {step.why}' if step.why else ''}")
        for warning in result.warnings:
            print(f"  warning: {warning}")
    for path in paths[len(results.photos) :]:
        print(f"{path}  mask")
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    from restore.serving.launcher import serve  # noqa: PLC0415 - imports cog

    print(
        f"Cog server on http://{arguments.host}:{arguments.port} (POST /predictions, GET /health-check); Ctrl-C ends it",
        flush=True,
    )
    return serve(arguments.host, arguments.port)


def _schema(arguments: argparse.Namespace) -> int:
    from restore.serving.launcher import write_schema  # noqa: PLC0415 - imports cog

    print(write_schema())
    return 0


def _demo(arguments: argparse.Namespace) -> int:
    from restore.cli.demo import run_demo  # noqa: PLC0415 - imports torch

    with Bars() as bars:
        for line in run_demo(arguments.output, bars):
            tqdm.write(line)
    return 0


def _weights(arguments: argparse.Namespace) -> int:
    catalog = Catalog.load()
    tasks = known_tasks(arguments.tasks, catalog)
    refused = []
    with Bars() as bars:
        store = WeightStore(catalog, progress=bars)
        for row in (row for task in tasks for row in catalog.for_task(task)):
            try:
                if arguments.action == "fetch":
                    store.ensure(row)
                elif arguments.action == "verify" and store.path_of(row).exists():
                    store.verify(row)
            except RestoreError as error:  # one bad file is no reason to leave the others out
                refused.append(error)
    print(render_table(table(store, tasks)))
    for refusal in refused:
        print(f"error: {refusal}", file=sys.stderr)
    return 2 if refused else 0


def read_pairs(pairs: Sequence[str]) -> dict[str, object]:
    """`NAME=VALUE` pairs as a mapping; a name given twice, or `images` and `masks`, makes a list; a JSON array of photos is one.

    Raises:
        RestoreError: OPTION_INVALID for a pair without `=`.
    """
    inputs: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"-i {pair} is no NAME=VALUE pair",
                "Write for example -i scale=2.",
            )
        values = _array(text) if name in PHOTOS and text.startswith("[") else [text]
        if name in {"images", "masks"} or name in inputs:
            before = inputs.get(name, [])
            inputs[name] = [*(before if isinstance(before, list) else [before]), *values]
        else:
            inputs[name] = values[0] if len(values) == 1 else values
    return inputs


def read_json(text: str) -> dict[str, object]:
    """Inputs from JSON text, from `@FILE`, or from standard input (`@-`).

    Raises:
        RestoreError: OPTION_INVALID for anything that is not a JSON object.
    """
    remedy = """Write for example --json '{"task": "upscale", "images": ["@a.jpg"]}'."""
    try:
        if text.startswith("@"):
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text()
        inputs = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise RestoreError(
            Code.OPTION_INVALID, f"--json cannot be read ({error})", remedy
        ) from error
    if not isinstance(inputs, dict):
        raise RestoreError(Code.OPTION_INVALID, "--json is no JSON object", remedy)
    return inputs


def photos_of(inputs: dict[str, object], names: Sequence[str], scratch: Path) -> list[NamedFile]:
    """Takes the inputs of these names out of the others: files, URLs and data URIs as named files, downloads in `scratch`."""
    given = [
        (name, value if isinstance(value, list) else [value])
        for name in names
        if (value := inputs.pop(name, None)) is not None
    ]
    sources = [
        (f"{name}-{index}", source) for name, values in given for index, source in enumerate(values)
    ]
    return [fetched(str(source), scratch / target) for target, source in sources]


def _array(text: str) -> list[object]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        remedy = """Write for example '["a.jpg", "b.jpg"]'."""
        raise RestoreError(
            Code.OPTION_INVALID, f"{text[:60]} is no JSON array ({error})", remedy
        ) from error
    return list(values)


class Bars:
    """Progress bars on a terminal, one for each kind of step; silent elsewhere."""

    def __init__(self) -> None:
        self._bars: dict[str, tqdm[NoReturn]] = {}

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *error: object) -> None:
        for bar in self._bars.values():
            bar.close()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what not in self._bars:
            self._bars[what] = tqdm(
                desc=what, total=total, disable=None, leave=False, position=len(self._bars)
            )
        bar = self._bars[what]
        bar.total = total
        bar.n = done
        bar.refresh()


def known_tasks(names: Sequence[str], catalog: Catalog) -> tuple[str, ...]:
    """The catalog's tasks behind the named ones, or all of them when none is named: `face_restore` brings its detectors.

    Raises:
        RestoreError: OPTION_INVALID for a task that neither requests nor the manifest know.
    """
    pairs: list[tuple[str, tuple[str, ...]]] = [
        *((row.task, (row.task,)) for row in catalog.rows),
        *CATALOG_TASKS.items(),
    ]
    behind = dict(pairs)
    for name in names:
        if name not in behind:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"task is '{name}', which does not exist",
                f"Use some of {', '.join(behind)}.",
            )
    return tuple(dict.fromkeys(task for name in names or behind for task in behind[name]))
