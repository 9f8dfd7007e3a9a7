"""Table and plot of the rows that `run_bench` measures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.inputs import Json
from benchmarks.request_times import STATISTICS

TIMES = ("round_totals", "per_request", "per_image")
MAX_WARNINGS = 5
MAX_FAILURES = 5


def table(rows: Sequence[Json]) -> str:
    """Format the rows as text; times in seconds."""
    lines = [f"{'profile':12}{'seconds':14}" + "".join(f"{name:>9}" for name in STATISTICS)]
    for row in rows:
        lines += _time_lines(row)
        lines += [f"{'':12}{line}" for line in _fact_lines(row)]
    return "\n".join(lines)


def _time_lines(row: Json) -> Iterator[str]:
    for index, name in enumerate(TIMES):
        figures = [row[name][key] for key in STATISTICS[:-1]]
        texts = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
        head = f"{'' if index else row['profile']:12}{name:14}"
        yield head + "".join(f"{text:>9}" for text in [*texts, str(row[name]["count"])])


def _fact_lines(row: Json) -> Iterator[str]:
    stages = ", ".join(f"{name} {ms:.1f}" for name, ms in row["stages_ms"].items())
    device = f"{row['device'] or 'no device'} {row['precision']}"
    yield f"{row['photos_per_second'] or 0:.2f} photos per second on {device}"
    yield f"milliseconds per photo: {stages or 'none measured'}"
    yield (
        f"retries after 409: {row['retries_409']}; requests: {row['requests']}; "
        f"failed: {len(row['failures'])}"
    )
    for text, count in Counter[str](row["warnings"]).most_common(MAX_WARNINGS):
        yield f"warning, {count} times: {text}"
    for failure in row["failures"][:MAX_FAILURES]:
        yield f"{failure['status']}: {', '.join(failure['photos'])}: {failure['error']}"


def plot(rows: Sequence[Json], title: str, path: Path) -> None:
    """Draw latency percentiles per profile and the mean time of each stage as a PNG."""
    from matplotlib import colormaps  # noqa: PLC0415 - a slow import that only plots need
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(12, 4.8), layout="constrained")
    figure.suptitle(title)
    latency, stages = figure.subplots(1, 2, width_ratios=(2, 3))
    positions, names = np.arange(len(rows)), [row["profile"] for row in rows]
    for index, key in enumerate(("p50", "p95", "p99")):
        heights = [row["per_image"][key] or 0.0 for row in rows]
        bars = latency.bar(positions + 0.27 * (index - 1), heights, 0.25, label=key)
        latency.bar_label(bars, fmt="%.2f", fontsize=8)
    latency.set(title="Latency of a photo", ylabel="seconds", xticks=positions, xticklabels=names)
    starts_ms = np.zeros(len(rows))
    stages.set_prop_cycle(color=colormaps["tab20"](range(20)))
    for name in dict.fromkeys(name for row in rows for name in row["stages_ms"]):
        widths_ms = np.array([row["stages_ms"].get(name, 0.0) for row in rows])
        stages.barh(positions, widths_ms, 0.6, starts_ms, label=name)
        starts_ms += widths_ms
    stages.set(
        title="Time of a photo by stage",
        xlabel="milliseconds, mean",
        yticks=positions,
        yticklabels=names,
    )
    stages.invert_yaxis()
    for axes in (latency, stages):
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, frameon=False, fontsize=8
        )
    figure.savefig(path, dpi=120, format="png")
