"""Time one photo, cold and warm, for every combination of profile, stability mode and backend.

    python benchmarks/bench_single_image.py --image data/1.jpg --warmup 1 --repeats 5

Each combination runs on a server of its own: time until the server is ready, then one cold request,
the warm-up, and the measured warm requests. The mode `safe` is measured without a backend only,
because it compiles nothing. A combination that the server refuses with an error code is listed with
its error, and the others go on. A broken combination or a lost request makes the exit code 1.

Prints one row per combination, and writes all rows and the fastest combinations to
last_bench_single_image.json beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import STABILITY_MODES, add_server_options, count_from, names_from
from benchmarks.client import Client, prediction
from benchmarks.inputs import Json, read_inputs, require_known
from benchmarks.request_times import profile_row, run_rounds
from benchmarks.rows import machine_with_device
from benchmarks.server import Setting, served
from restore.errors import Code, RestoreError
from restore.imaging.outputs import require_writable, write_atomically
from restore.imaging.photo import open_photo
from restore.options import COMPILE_BACKENDS

RESULT = Path(__file__).resolve().parent / "last_bench_single_image.json"
ERROR_CODE = re.compile(r"\[E\d{3}\]")
COMBINATION = ("profile", "stability_mode", "compile_backend")
PROFILE_FACTS = (
    "device",
    "precision",
    "weights",
    "stages_ms",
    "recompiles",
    "retries_409",
    "warnings",
    "failures",
)


def combinations(
    base: Setting, profiles: Sequence[str], modes: Sequence[str], backends: Sequence[str]
) -> tuple[list[Setting], list[Setting]]:
    """Return the combinations to measure, and those that are impossible."""
    every = [
        replace(base, profile=profile, stability_mode=mode, compile_backend=backend)
        for profile, mode, backend in itertools.product(profiles, modes, backends)
    ]
    possible = [
        each for each in every if each.stability_mode != "safe" or each.compile_backend == "none"
    ]
    return possible, [each for each in every if each not in possible]


def measure(
    setting: Setting,
    photo: Path,
    arguments: argparse.Namespace,
    on_result: Callable[[object], object],
) -> Json:
    """Measure one combination on its own server. `status` is measured, refused or failed."""
    row: Json = {name: getattr(setting, name) for name in COMBINATION}
    row |= {"status": "measured", "error": ""}
    ready_s = None
    try:
        require_known(setting.inputs())
        predictions = [prediction([photo], setting.inputs())]
        started_s = time.perf_counter()
        with served(arguments.port, setting.environment()) as url, Client(url) as client:
            ready_s = round(time.perf_counter() - started_s, 3)
            cold = run_rounds(client, predictions, 1, on_result)
            first = cold[0].results[0]
            if first.status != "succeeded":
                return row | _unmeasured(first.error, ready_s, refused=_has_code(first.error))
            warmup = run_rounds(client, predictions, arguments.warmup, on_result)
            rounds = run_rounds(client, predictions, arguments.repeats, on_result)
    except RestoreError as error:
        # A failed setup is a SERVER error whose text contains the code of the cause.
        refused = error.code != Code.SERVER or _has_code(error.reason)
        return row | _unmeasured(str(error), ready_s, refused=refused)
    facts = profile_row(setting.profile, cold + warmup, rounds)
    if facts["failures"]:
        row |= {"status": "failed", "error": facts["failures"][0]["error"]}
    row |= {"ready_s": ready_s, "cold_s": round(first.wall_s, 5), "warm": facts["per_request"]}
    return row | {name: facts[name] for name in PROFILE_FACTS}


def _has_code(text: str) -> bool:
    return ERROR_CODE.search(text) is not None


def _unmeasured(error: str, ready_s: float | None, *, refused: bool) -> Json:
    return {"status": "refused" if refused else "failed", "error": error, "ready_s": ready_s}


def bench(arguments: argparse.Namespace) -> Json:
    """Measure every combination, one after the other.

    Raises:
        RestoreError: an input, the photo or the result file is unusable, or the port is in use.
    """
    require_writable(RESULT.parent)
    open_photo(arguments.image)
    _require_free(arguments.port)
    base = Setting(arguments.task, weights=arguments.weights, extra=read_inputs(arguments.set))
    settings, skipped = combinations(base, arguments.profiles, arguments.modes, arguments.backends)
    rows = []
    requests = 1 + arguments.warmup + arguments.repeats
    with tqdm(total=len(settings) * requests, unit="request", file=sys.stderr) as bar:
        for number, setting in enumerate(settings, start=1):
            bar.set_description(_label(setting))
            rows.append(measure(setting, arguments.image, arguments, lambda _: bar.update()))
            bar.n = number * requests  # a combination that ends early skips its other requests
            bar.refresh()
    good = [row for row in rows if row["status"] == "measured"]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine_with_device(good[0]["device"] if good else ""),
        "image": arguments.image.name,
        "options": {name: value for name, value in vars(arguments).items() if name != "image"},
        "rows": rows,
        "skipped": [{name: getattr(setting, name) for name in COMBINATION} for setting in skipped],
        "best_cold": _best(good, lambda row: row["cold_s"]),
        "best_warm": _best(good, lambda row: row["warm"]["p50"]),
    }


def _best(rows: Sequence[Json], seconds: Callable[[Json], float]) -> Json | None:
    """Return the fastest combination and its time; None if none was measured."""
    best = min(rows, key=seconds, default=None)
    return best and {**{name: best[name] for name in COMBINATION}, "seconds": seconds(best)}


def _require_free(port: int) -> None:
    """Refuse a port that is in use, which would make every combination fail."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        raise RestoreError(
            Code.SERVER,
            f"port {port} is in use by another program",
            "Stop that program, or choose another port with --port.",
        )


def _label(setting: Setting) -> str:
    return f"{setting.profile}, {setting.stability_mode}, {setting.compile_backend}"


def table(results: Json) -> str:
    """Format the rows as text: times in seconds, warm times as median and 95th percentile."""
    titles = "".join(f"{name:>9}" for name in ("ready", "cold", "p50", "p95"))
    lines = [f"{'profile':12}{'mode':11}{'backend':12}{titles}  seconds"]
    for row in results["rows"]:
        lines += _row_lines(row)
    for name in ("best_cold", "best_warm"):
        best = results[name]
        text = (
            f"{', '.join(best[key] for key in COMBINATION)}: {best['seconds']:.3f} s"
            if best
            else ""
        )
        lines.append(f"{name}: {text or 'nothing was measured'}")
    lines += [
        f"left out: {', '.join(each.values())} (the mode safe compiles nothing)"
        for each in results["skipped"]
    ]
    return "\n".join(lines)


def _row_lines(row: Json) -> Iterator[str]:
    figures = [row["ready_s"]]
    if "warm" in row:
        figures += [row["cold_s"], row["warm"]["p50"], row["warm"]["p95"]]
    head = f"{row['profile']:12}{row['stability_mode']:11}{row['compile_backend']:12}"
    times = "".join(f"{'-' if each is None else format(each, '.3f'):>9}" for each in figures)
    error = f"  {row['status']}: {row['error']}" if row["error"] else ""
    yield head + times + error
    for text in row.get("warnings", ()):
        yield f"  warning: {text}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, 1 if one failed or none was measured, 2 if refused."""
    options = _parser().parse_args(arguments)
    try:
        results = bench(options)
        write_atomically((json.dumps(results, indent=2) + "\n").encode(), RESULT)
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{options.image.name}, {options.task}, {options.weights} weights; ", end="")
    print(f"{options.repeats} warm requests after {options.warmup} of warm-up")
    print(table(results))
    print(f"written to {RESULT}")
    failed = any(row["status"] == "failed" for row in results["rows"])
    return 1 if failed or not results["best_cold"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_server_options(parser)
    parser.add_argument("--image", type=Path, default=Path("data/1.jpg"), metavar="PHOTO")
    parser.add_argument(
        "--repeats",
        type=count_from(1),
        default=5,
        metavar="N",
        help="measured warm requests (default: 5)",
    )
    parser.add_argument(
        "--modes",
        type=names_from(STABILITY_MODES),
        default=["safe", "optimized"],
        help="default: safe,optimized",
    )
    parser.add_argument(
        "--backends",
        type=names_from(COMPILE_BACKENDS),
        default=["none", "inductor"],
        help="default: none,inductor",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
