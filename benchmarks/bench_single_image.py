"""One photo, cold and warm, in every combination of profile, mode and backend: `python -m benchmarks.bench_single_image`.

Prints a row for each combination and writes all of them to last_bench_single_image.json beside this file, with the combinations that
were quickest cold and warm.

Each combination has a server of its own: seconds until it is ready, its first request (cold), then warm-up, then the measured
requests (warm). The mode `safe` goes with no backend. A combination that the server refuses (an answer or a setup with an error code)
stands there with its error and stops nothing; one that breaks, or a request that is lost, makes the exit code 1.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from benchmarks.client import (
    STABILITY_MODES,
    Client,
    Json,
    Setting,
    prediction,
    read_inputs,
    require_known,
    served,
)
from benchmarks.run_bench import (
    add_server_options,
    count_from,
    machine_for,
    measured,
    names_of,
    profile_row,
)
from restore.errors import Code, RestoreError
from restore.imaging.outputs import require_writable
from restore.imaging.photo import open_photo, write_atomically
from restore.options import COMPILE_BACKENDS

RESULT = Path(__file__).resolve().parent / "last_bench_single_image.json"
CODED = re.compile(r"\[E\d{3}\]")
NAMES = ("profile", "stability_mode", "compile_backend")


def combinations(
    base: Setting, profiles: Sequence[str], modes: Sequence[str], backends: Sequence[str]
) -> tuple[list[Setting], list[Setting]]:
    """Which combinations are to be measured, and which there cannot be."""
    every = [
        replace(base, profile=profile, stability_mode=mode, compile_backend=backend)
        for profile, mode, backend in itertools.product(profiles, modes, backends)
    ]
    possible = [
        one for one in every if one.stability_mode != "safe" or one.compile_backend == "none"
    ]
    return possible, [one for one in every if one not in possible]


def measure(
    setting: Setting,
    photo: Path,
    arguments: argparse.Namespace,
    on_answer: Callable[[object], object],
) -> Json:
    """One combination, on a server of its own: `status` is measured, refused or failed."""
    row: Json = {name: getattr(setting, name) for name in NAMES} | {
        "status": "measured",
        "error": "",
    }
    ready_s = None
    try:
        require_known(setting.inputs())
        asked = [prediction([photo], setting.inputs())]
        started_s = time.perf_counter()
        with served(arguments.port, setting.environment()) as url, Client(url) as client:
            ready_s = round(time.perf_counter() - started_s, 3)
            cold = measured(client, asked, 1, on_answer)
            first = cold[0].answers[0]
            if first.status != "succeeded":
                return row | {
                    "status": "refused" if CODED.search(first.error) else "failed",
                    "error": first.error,
                    "ready_s": ready_s,
                }
            warmup = measured(client, asked, arguments.warmup, on_answer)
            rounds = measured(client, asked, arguments.repeats, on_answer)
    except RestoreError as error:
        # What a server's setup says has the code of its own error inside.
        refused = error.code != Code.SERVER or CODED.search(error.reason)
        return row | {
            "status": "refused" if refused else "failed",
            "error": str(error),
            "ready_s": ready_s,
        }
    facts = profile_row(setting.profile, cold + warmup, rounds)
    if facts["failures"]:
        row |= {"status": "failed", "error": facts["failures"][0]["error"]}
    row |= {"ready_s": ready_s, "cold_s": round(first.wall_s, 5), "warm": facts["per_request"]}
    kept = (
        "device",
        "precision",
        "weights",
        "stages_ms",
        "recompiles",
        "retries_409",
        "warnings",
        "failures",
    )
    return row | {name: facts[name] for name in kept}


def bench(arguments: argparse.Namespace) -> Json:
    """Every combination in turn.

    Raises:
        RestoreError: an input, the photo or the result's file will not do, or the port is taken.
    """
    require_writable(RESULT.parent)
    open_photo(arguments.image)
    _require_free(arguments.port)
    base = Setting(arguments.task, weights=arguments.weights, extra=read_inputs(arguments.set))
    settings, skipped = combinations(base, arguments.profiles, arguments.modes, arguments.backends)
    rows = []
    with tqdm(
        total=len(settings) * (1 + arguments.warmup + arguments.repeats),
        unit="request",
        file=sys.stderr,
    ) as bar:
        for number, setting in enumerate(settings, start=1):
            bar.set_description(_label(setting))
            rows.append(measure(setting, arguments.image, arguments, lambda _: bar.update()))
            bar.n = number * (1 + arguments.warmup + arguments.repeats)
            bar.refresh()
    good = [row for row in rows if row["status"] == "measured"]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine_for(good[0]["device"] if good else ""),
        "image": arguments.image.name,
        "options": {name: value for name, value in vars(arguments).items() if name != "image"},
        "rows": rows,
        "skipped": [{name: getattr(setting, name) for name in NAMES} for setting in skipped],
        "best_cold": _best(good, lambda row: row["cold_s"]),
        "best_warm": _best(good, lambda row: row["warm"]["p50"]),
    }


def _best(rows: Sequence[Json], seconds: Callable[[Json], float]) -> Json | None:
    """The quickest combination and its time; None when none was measured."""
    best = min(rows, key=seconds, default=None)
    return best and {**{name: best[name] for name in NAMES}, "seconds": seconds(best)}


def _require_free(port: int) -> None:
    """A port that is taken would otherwise be every combination's failure."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2):
        raise RestoreError(
            Code.SERVER,
            f"something listens on port {port} already",
            "End it, or name another with --port.",
        )


def _label(setting: Setting) -> str:
    return f"{setting.profile}, {setting.stability_mode}, {setting.compile_backend}"


def table(results: Json) -> str:
    """The rows as text: times in seconds, warm ones by their median and 95th percentile."""
    lines = [
        f"{'profile':12}{'mode':11}{'backend':12}{'ready':>9}{'cold':>9}{'p50':>9}{'p95':>9}  seconds"
    ]
    for row in results["rows"]:
        figures = (
            [row["ready_s"], row["cold_s"], row["warm"]["p50"], row["warm"]["p95"]]
            if "warm" in row
            else [row["ready_s"]]
        )
        texts = "".join(
            f"{'-' if figure is None else format(figure, '.3f'):>9}" for figure in figures
        )
        said = f"  {row['status']}: {row['error']}" if row["error"] else ""
        lines.append(
            "".join(f"{row[name]:{width}}" for name, width in zip(NAMES, (12, 11, 12), strict=True))
            + texts
            + said
        )
        lines += [f"  warning: {text}" for text in row.get("warnings", ())]
    for name in ("best_cold", "best_warm"):
        best = results[name]
        lines.append(
            f"{name}: "
            + (
                f"{', '.join(best[one] for one in NAMES)}: {best['seconds']:.3f} s"
                if best
                else "nothing was measured"
            )
        )
    lines += [
        f"left out: {', '.join(one.values())} (the mode safe compiles nothing)"
        for one in results["skipped"]
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 1 when a combination failed or none was measured, 2 when the run was refused."""
    options = _parser().parse_args(arguments)
    try:
        results = bench(options)
        text = json.dumps(results, indent=2) + "\n"
        write_atomically(text.encode(), RESULT)
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        f"{options.image.name}, {options.task}, {options.weights} weights; {options.repeats} warm requests after {options.warmup}"
    )
    print(table(results))
    print(f"written to {RESULT}")
    return (
        1
        if not results["best_cold"] or any(row["status"] == "failed" for row in results["rows"])
        else 0
    )


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
    modes, backends = ["safe", "optimized"], ["none", "inductor"]
    parser.add_argument(
        "--modes", type=names_of(STABILITY_MODES), default=modes, help="default: safe,optimized"
    )
    parser.add_argument(
        "--backends",
        type=names_of(COMPILE_BACKENDS),
        default=backends,
        help="default: none,inductor",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
