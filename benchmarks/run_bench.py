"""Photos through a real Cog server, profile after profile: `python -m benchmarks.run_bench --task restore --repeats 3`.

Prints how long rounds, requests and photos took; `--output` keeps it as JSON, `--plot` as a picture, and `--record` adds a row for
each profile to results/run_bench.jsonl.

The server is started here and ends here. Each profile has its warm-up rounds, then rounds over all photos; a round ends when its last
request is answered. A photo's time is its request's over the photos in it. Times are a client's: HTTP and what passes while the
server is busy with another request are in them. Requests that fail are in no time; they are counted, listed, and make the exit
code 1. Percentiles of few values lie between the greatest of them: see the count.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.client import (
    STABILITY_MODES,
    WEIGHTS,
    Answer,
    Client,
    Json,
    Prediction,
    Setting,
    prediction,
    read_inputs,
    require_known,
    served,
)
from benchmarks.rows import machine, record
from restore.errors import Code, RestoreError
from restore.imaging.outputs import require_writable
from restore.imaging.photo import open_photo, write_atomically
from restore.options import COMPILE_BACKENDS, DEFAULT_TASK, MAX_PHOTOS, TASKS, RuntimeProfile

PROFILES = get_args(RuntimeProfile)
TIMES = ("round_totals", "per_request", "per_image")
SHOWN_WARNINGS = 5
SHOWN = ("mean", "p50", "p95", "p99", "min", "max", "count")


@dataclass(frozen=True)
class Round:
    """All photos once: the wall time of it, and what came of each request."""

    total_s: float
    answers: tuple[Answer, ...]


def photos_in(folder: Path) -> list[Path]:
    """The JPEGs of a folder, 2.jpg before 10.jpg.

    Raises:
        RestoreError: PHOTO_MISSING when there are none.
    """
    found = [path for path in folder.glob("*") if path.suffix.lower() == ".jpg"]
    if not found:
        reason = f"'{folder}' has no *.jpg" if folder.is_dir() else f"'{folder}' is no folder"
        raise RestoreError(
            Code.PHOTO_MISSING, reason, "Name a folder with photos, or photos with --images."
        )
    return sorted(found, key=lambda path: natural(path.stem))


def natural(stem: str) -> list[int | str]:
    """A key that orders names by the numbers in them: text and numbers in turn."""
    return [int(run) if run.isdecimal() else run for run in re.split("([0-9]+)", stem)]


def summary(values: Iterable[float]) -> dict[str, float | None]:
    """Mean, percentiles (linear between values), extremes and count; None for what nothing was measured of."""
    array = np.fromiter(values, np.float64)
    if not array.size:
        return dict.fromkeys(SHOWN[:-1], None) | {"count": 0}
    figures = (array.mean(), *np.percentile(array, (50, 95, 99)), array.min(), array.max())
    return {
        **{name: round(float(figure), 5) for name, figure in zip(SHOWN, figures, strict=False)},
        "count": array.size,
    }


def measured(
    client: Client,
    asked: Sequence[Prediction],
    rounds: int,
    on_answer: Callable[[Answer], object] = lambda answer: None,
) -> list[Round]:
    """Rounds over all requests, one round after the other."""
    done = []
    for _ in range(rounds):
        started_s = time.perf_counter()
        answers = client.predict_all(asked, on_answer)
        done.append(Round(time.perf_counter() - started_s, tuple(answers)))
    return done


def profile_row(profile: str, warmup: Sequence[Round], rounds: Sequence[Round]) -> Json:
    """What is to be said of a profile: times in seconds (stages in milliseconds a photo), failures of its warm-up included."""
    answers = [answer for one in rounds for answer in one.answers]
    good = [answer for answer in answers if answer.status == "succeeded"]
    everything = [answer for one in warmup for answer in one.answers] + answers
    failures = [
        {"photos": list(a.names), "status": a.status, "error": a.error}
        for a in everything
        if a.status != "succeeded"
    ]
    photos = sum(len(answer.names) for answer in good)
    total_s = sum(one.total_s for one in rounds)
    reports = [report for answer in good for report in answer.reports]
    return {
        "profile": profile,
        "device": _named(report["device"] for report in reports),
        "precision": _named(report["precision"] for report in reports),
        "stability_mode": _named(report.get("stability_mode") for report in reports),
        "compile_backend": _named(report.get("compile_backend") for report in reports),
        "recompiles": max((report.get("recompiles", 0) for report in reports), default=0),
        "weights": sorted({str(row["file"]) for report in reports for row in report["weights"]}),
        # A round with a hole in it took less time than one has to.
        "round_totals": summary(
            one.total_s
            for one in rounds
            if all(answer.status == "succeeded" for answer in one.answers)
        ),
        "per_request": summary(answer.wall_s for answer in good),
        "per_image": summary(
            answer.wall_s / len(answer.names) for answer in good for _ in answer.names
        ),
        "predict_time": summary(
            answer.predict_time_s for answer in good if answer.predict_time_s is not None
        ),
        "photos_per_second": round(photos / total_s, 4) if photos else None,
        "pictures": sum(answer.outputs for answer in good),
        "stages_ms": mean_stages_ms(good),
        "retries_409": sum(answer.retries_409 for answer in everything),
        "waited_for_server_s": round(sum(answer.waited_s for answer in answers), 3),
        "warnings": dict(Counter(warning for report in reports for warning in report["warnings"])),
        "requests": len(everything),
        "failures": failures,
    }


def mean_stages_ms(answers: Sequence[Answer]) -> dict[str, float]:
    """Mean time of a photo in each stage; stages of a chain's steps by their task. What no stage covers has two names of its own.

    `server` is the rest of the server's own time (Cog's decoding of inputs, reading of outputs), `client` the rest of the client's.
    """
    totals: defaultdict[str, float] = defaultdict(float)
    for answer in answers:
        staged = [
            (stage, ms) for report in answer.reports for stage, ms in report["stages_ms"].items()
        ]
        steps = [step for report in answer.reports for step in report["steps"]]
        staged += [
            (f"{step['task']}: {stage}", ms)
            for step in steps
            for stage, ms in step["stages_ms"].items()
        ]
        for stage, ms in staged:
            totals[stage] += ms
        server_ms = 1000 * (answer.predict_time_s or 0.0)
        totals["server"] += max(0.0, server_ms - sum(ms for _, ms in staged))
        totals["client"] += max(0.0, 1000 * answer.wall_s - server_ms)
    photos = sum(len(answer.names) for answer in answers)
    return {name: round(ms / photos, 2) for name, ms in totals.items()}


def _named(values: Iterable[object]) -> str:
    """The names among the values, each once; nothing for None."""
    return ", ".join(sorted({str(value) for value in values} - {"None"}))


def machine_for(device: str) -> dict[str, object]:
    """Facts of the machine, with the name that its maker gave to the device that computed."""
    gpu = device.startswith("cuda") and torch.cuda.is_available()
    return {
        **machine(),
        "device_name": torch.cuda.get_device_name(device) if gpu else device,
        "cpu_cores": os.cpu_count(),
    }


def table(rows: Sequence[Json]) -> str:
    """The rows as text: times in seconds."""
    lines = [f"{'profile':12}{'seconds':14}" + "".join(f"{name:>9}" for name in SHOWN)]
    for row in rows:
        for index, name in enumerate(TIMES):
            figures = [row[name][key] for key in SHOWN[:-1]]
            texts = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
            lines.append(
                f"{'' if index else row['profile']:12}{name:14}"
                + "".join(f"{t:>9}" for t in [*texts, str(row[name]["count"])])
            )
        stages = ", ".join(f"{name} {ms:.1f}" for name, ms in row["stages_ms"].items())
        lines.append(
            f"{'':12}{row['photos_per_second'] or 0:.2f} photos a second on {row['device'] or 'no device'} {row['precision']}"
        )
        lines.append(f"{'':12}milliseconds a photo: {stages or 'none measured'}")
        lines.append(
            f"{'':12}asked again after 409: {row['retries_409']}; requests: {row['requests']}; failed: {len(row['failures'])}"
        )
        lines += [
            f"{'':12}warning, {count} times: {text}"
            for text, count in Counter[str](row["warnings"]).most_common(SHOWN_WARNINGS)
        ]
        lines += [
            f"{'':12}{failure['status']}: {', '.join(failure['photos'])}: {failure['error']}"
            for failure in row["failures"][:5]
        ]
    return "\n".join(lines)


def plot(rows: Sequence[Json], title: str, path: Path) -> None:
    """Latency percentiles of a photo by profile, and where a photo's time goes, as a picture."""
    from matplotlib import colormaps  # noqa: PLC0415 - a second, for a picture alone
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(12, 4.8), layout="constrained")
    figure.suptitle(title)
    latency, stages = figure.subplots(1, 2, width_ratios=(2, 3))
    places, names = np.arange(len(rows)), [row["profile"] for row in rows]
    for index, key in enumerate(("p50", "p95", "p99")):
        heights = [row["per_image"][key] or 0.0 for row in rows]
        bars = latency.bar(places + 0.27 * (index - 1), heights, 0.25, label=key)
        latency.bar_label(bars, fmt="%.2f", fontsize=8)
    latency.set(title="A photo's latency", ylabel="seconds", xticks=places, xticklabels=names)
    begins = np.zeros(len(rows))
    stages.set_prop_cycle(color=colormaps["tab20"](range(20)))
    for name in dict.fromkeys(name for row in rows for name in row["stages_ms"]):
        widths = np.array([row["stages_ms"].get(name, 0.0) for row in rows])
        stages.barh(places, widths, 0.6, begins, label=name)
        begins += widths
    stages.set(
        title="Where a photo's time goes",
        xlabel="milliseconds, mean",
        yticks=places,
        yticklabels=names,
    )
    stages.invert_yaxis()
    for axes in (latency, stages):
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, frameon=False, fontsize=8
        )
    figure.savefig(path, dpi=120, format="png")


def bench(arguments: argparse.Namespace) -> Json:
    """The whole measurement: everything that can be refused is, before the server starts.

    Raises:
        RestoreError: inputs, photos or files that will not do, a port that is taken, a server that does not become ready.
    """
    if arguments.stability_mode == "safe" and arguments.compile_backend != "none":
        reason = f"the backend is {arguments.compile_backend}, and the mode safe compiles nothing"
        raise RestoreError(Code.OPTION_INVALID, reason, "Add --stability-mode optimized.")
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
            asked = [
                prediction(batch, replace(setting, profile=profile).inputs()) for batch in batches
            ]
            warmup = measured(client, asked, arguments.warmup, lambda _: bar.update())
            rounds = measured(client, asked, arguments.repeats, lambda _: bar.update())
            rows.append(profile_row(profile, warmup, rounds))
    options = {
        name: value
        for name, value in vars(arguments).items()
        if name not in {"output", "plot", "record", "images", "image_dir"}
    }
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine_for(next((row["device"] for row in rows if row["device"]), "")),
        "options": options,
        "photos": [photo.name for photo in photos],
        "profiles": rows,
    }


def write_results(results: Json, arguments: argparse.Namespace) -> None:
    """Table, JSON, picture and rows, as asked for."""
    options, rows = results["options"], results["profiles"]
    what = f"{len(results['photos'])} photos, {options['batch_size']} a request, {options['concurrency']} at once"
    title = f"{options['task']}, {options['weights']} weights, {options['stability_mode']}, {options['compile_backend']}: {what}"
    print(f"{title}; {options['repeats']} rounds after {options['warmup']}")
    print(table(rows))
    if arguments.output:
        write_atomically((json.dumps(results, indent=2) + "\n").encode(), arguments.output)
    if arguments.plot:
        plot(rows, title, arguments.plot)
    for row in rows if arguments.record else ():
        record(
            "run_bench",
            {
                **row,
                "photos": len(results["photos"]),
                **options,
                "date": results["date"],
                **results["machine"],
            },
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, 1 when a request failed or was lost, 2 when the run was refused."""
    options = _parser().parse_args(arguments)
    try:
        results = bench(options)
        write_results(results, options)
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 1 if any(row["failures"] for row in results["profiles"]) else 0


def names_of(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    """An option's type: some of these names, separated by commas."""

    def read(text: str) -> list[str]:
        names = list(dict.fromkeys(name.strip() for name in text.split(",")))
        for name in names:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(allowed)}")
        return names

    return read


def count_from(least: int) -> Callable[[str], int]:
    """An option's type: a whole number of at least this."""

    def count(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return int(text)

    return count


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """The options of every benchmark that drives a server."""
    parser.add_argument("--task", choices=TASKS, default=DEFAULT_TASK)
    parser.add_argument(
        "--profiles",
        type=names_of(PROFILES),
        default=["baseline", "fast"],
        help="default: baseline,fast",
    )
    parser.add_argument(
        "--weights",
        choices=WEIGHTS,
        default="lite",
        help="the server's RESTORE_WEIGHTS (default: lite, no download)",
    )
    parser.add_argument(
        "--warmup",
        type=count_from(0),
        default=1,
        metavar="N",
        help="rounds that are not measured (default: 1)",
    )
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a further input; repeat for more",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_server_options(parser)
    given = parser.add_mutually_exclusive_group()
    given.add_argument(
        "--image-dir",
        type=Path,
        default=Path("data"),
        help="folder whose *.jpg are sent (default: data)",
    )
    given.add_argument("--images", type=Path, nargs="+", metavar="PHOTO")
    parser.add_argument(
        "--batch-size",
        type=int,
        choices=range(1, MAX_PHOTOS + 1),
        default=1,
        help="photos a request (default: 1)",
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
        help="add a row for each profile to results/run_bench.jsonl",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
