"""Time photos through a real Cog server, one profile after the other.

    python benchmarks/run_bench.py --task restore --repeats 3

Starts the server and stops it at the end. For each profile it sends the warm-up rounds, then the
measured rounds over all photos. A round ends when its last response has arrived. Times are those of
a client: they include HTTP and waiting while the server is busy. A failed request makes the exit
code 1. Percentiles of few values are interpolated: compare them with the count.

Prints times per round, request and photo. `--output` writes them as JSON, `--plot` draws them, and
`--record` appends one row per profile to results/run_bench.jsonl.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import STABILITY_MODES, add_server_options, count_from
from benchmarks.client import Client, prediction
from benchmarks.inputs import Json, read_inputs, require_known
from benchmarks.request_times import profile_row, run_rounds
from benchmarks.rows import machine_with_device, record
from benchmarks.run_report import plot, table
from benchmarks.server import Setting, served
from restore.errors import Code, RestoreError
from restore.imaging.outputs import require_writable, write_atomically
from restore.imaging.photo import open_photo
from restore.options import COMPILE_BACKENDS, MAX_PHOTOS

UNRECORDED_OPTIONS = frozenset({"output", "plot", "record", "images", "image_dir"})


def photos_in(folder: Path) -> list[Path]:
    """Return the JPEGs of a folder in natural order (2.jpg before 10.jpg).

    Raises:
        RestoreError: PHOTO_MISSING if there are none.
    """
    found = [path for path in folder.glob("*") if path.suffix.lower() == ".jpg"]
    if not found:
        reason = f"'{folder}' has no *.jpg" if folder.is_dir() else f"'{folder}' is not a folder"
        raise RestoreError(
            Code.PHOTO_MISSING, reason, "Name a folder of photos, or photos with --images."
        )
    return sorted(found, key=lambda path: natural_key(path.stem))


def natural_key(stem: str) -> list[int | str]:
    """Return a sort key that compares the numbers in a name by value."""
    return [int(run) if run.isdecimal() else run for run in re.split("([0-9]+)", stem)]


def bench(arguments: argparse.Namespace) -> Json:
    """Run the whole benchmark. Everything that can be refused is refused before the server starts.

    Raises:
        RestoreError: an input, a photo or an output file is unusable, the port is in use, or the
            server does not become ready.
    """
    photos, setting = _checked(arguments)
    batches = [
        photos[first : first + arguments.batch_size]
        for first in range(0, len(photos), arguments.batch_size)
    ]
    rows = []
    total = len(arguments.profiles) * (arguments.warmup + arguments.repeats) * len(batches)
    with (
        served(arguments.port, setting.environment()) as url,
        Client(url, concurrency=arguments.concurrency) as client,
        tqdm(total=total, unit="request", file=sys.stderr) as bar,
    ):
        for profile in arguments.profiles:
            bar.set_description(profile)
            inputs = replace(setting, profile=profile).inputs()
            predictions = [prediction(batch, inputs) for batch in batches]
            warmup = run_rounds(client, predictions, arguments.warmup, lambda _: bar.update())
            rounds = run_rounds(client, predictions, arguments.repeats, lambda _: bar.update())
            rows.append(profile_row(profile, warmup, rounds))
    device = next((row["device"] for row in rows if row["device"]), "")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine_with_device(device),
        "options": {
            name: value for name, value in vars(arguments).items() if name not in UNRECORDED_OPTIONS
        },
        "photos": [photo.name for photo in photos],
        "profiles": rows,
    }


def _checked(arguments: argparse.Namespace) -> tuple[Sequence[Path], Setting]:
    """Return the photos and the setting of a run after checking all that it needs."""
    if arguments.stability_mode == "safe" and arguments.compile_backend != "none":
        raise RestoreError(
            Code.OPTION_INVALID,
            f"--compile-backend {arguments.compile_backend} has no effect in the mode safe",
            "Add --stability-mode optimized.",
        )
    for path in (arguments.output, arguments.plot):
        if path:
            require_writable(path.parent)
    photos = arguments.images or photos_in(arguments.image_dir)
    for photo in photos:
        open_photo(photo)
    setting = Setting(
        task=arguments.task,
        stability_mode=arguments.stability_mode,
        compile_backend=arguments.compile_backend,
        weights=arguments.weights,
        extra=read_inputs(arguments.set),
    )
    require_known(setting.inputs())
    return photos, setting


def write_results(results: Json, arguments: argparse.Namespace) -> None:
    """Print the table and write the JSON, the plot and the rows that were asked for."""
    options, rows = results["options"], results["profiles"]
    title = (
        f"{options['task']}, {options['weights']} weights, {options['stability_mode']}, "
        f"{options['compile_backend']}: {len(results['photos'])} photos, "
        f"{options['batch_size']} per request, {options['concurrency']} requests at once"
    )
    print(f"{title}; {options['repeats']} rounds after {options['warmup']} of warm-up")
    print(table(rows))
    if arguments.output:
        write_atomically((json.dumps(results, indent=2) + "\n").encode(), arguments.output)
    if arguments.plot:
        plot(rows, title, arguments.plot)
    for row in rows if arguments.record else ():
        facts = {**options, "date": results["date"], **results["machine"]}
        record("run_bench", {**row, "photos": len(results["photos"]), **facts})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, 1 if a request failed or was lost, 2 if refused."""
    options = _parser().parse_args(arguments)
    try:
        results = bench(options)
        write_results(results, options)
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if any(row["failures"] for row in results["profiles"]) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_server_options(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--image-dir",
        type=Path,
        default=Path("data"),
        help="folder whose *.jpg are sent (default: data)",
    )
    source.add_argument("--images", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument(
        "--batch-size",
        type=int,
        choices=range(1, MAX_PHOTOS + 1),
        default=1,
        help="photos per request (default: 1)",
    )
    parser.add_argument(
        "--concurrency",
        type=count_from(1),
        default=1,
        metavar="N",
        help="requests at once (default: 1)",
    )
    parser.add_argument(
        "--repeats", type=count_from(1), default=3, metavar="N", help="measured rounds (default: 3)"
    )
    parser.add_argument("--stability-mode", choices=STABILITY_MODES, default="safe")
    parser.add_argument("--compile-backend", choices=COMPILE_BACKENDS, default="none")
    parser.add_argument("--output", type=Path, metavar="FILE.json")
    parser.add_argument("--plot", type=Path, metavar="FILE.png")
    parser.add_argument(
        "--record",
        action="store_true",
        help="append one row per profile to results/run_bench.jsonl",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
