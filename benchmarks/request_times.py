"""Statistics of timed requests: rounds, percentiles, and one row per profile.

The time of a photo is the time of its request divided by the number of photos in it. Failed
requests are not part of any time; they are counted and listed.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.client import Client, Prediction, PredictionResult
from benchmarks.inputs import Json

STATISTICS = ("mean", "p50", "p95", "p99", "min", "max", "count")


@dataclass(frozen=True)
class Round:
    """One pass over all requests: its wall time and the result of each request."""

    total_s: float
    results: tuple[PredictionResult, ...]

    @property
    def succeeded(self) -> bool:
        """Whether every request succeeded. The time of any other round is not comparable."""
        return all(result.status == "succeeded" for result in self.results)


def run_rounds(
    client: Client,
    predictions: Sequence[Prediction],
    rounds: int,
    on_result: Callable[[PredictionResult], object] = lambda result: None,
) -> list[Round]:
    """Send all requests `rounds` times, one round after the other."""
    done = []
    for _ in range(rounds):
        started_s = time.perf_counter()
        results = client.predict_all(predictions, on_result)
        done.append(Round(time.perf_counter() - started_s, tuple(results)))
    return done


def summary(values: Iterable[float]) -> dict[str, float | None]:
    """Return mean, percentiles (linear interpolation), extremes and count; None without values."""
    array = np.fromiter(values, np.float64)
    if not array.size:
        return dict.fromkeys(STATISTICS[:-1], None) | {"count": 0}
    figures = (array.mean(), *np.percentile(array, (50, 95, 99)), array.min(), array.max())
    return {
        **{name: round(float(each), 5) for name, each in zip(STATISTICS, figures, strict=False)},
        "count": array.size,
    }


def profile_row(profile: str, warmup: Sequence[Round], rounds: Sequence[Round]) -> Json:
    """Return the row of a profile: times in seconds, stages in milliseconds per photo.

    Times are those of `rounds`. Failures and retries include the warm-up.
    """
    measured = [result for each in rounds for result in each.results]
    every = [result for each in warmup for result in each.results] + measured
    good = [result for result in measured if result.status == "succeeded"]
    reports = [report for result in good for report in result.reports]
    return {
        "profile": profile,
        **_report_facts(reports),
        **_time_facts(good, rounds),
        "pictures": sum(result.outputs for result in good),
        "stages_ms": mean_stages_ms(good),
        "retries_409": sum(result.retries_409 for result in every),
        "waited_for_server_s": round(sum(result.waited_s for result in measured), 3),
        "warnings": dict(Counter(warning for report in reports for warning in report["warnings"])),
        "requests": len(every),
        "failures": [
            {"photos": list(result.names), "status": result.status, "error": result.error}
            for result in every
            if result.status != "succeeded"
        ],
    }


def _report_facts(reports: Sequence[Json]) -> Json:
    return {
        "device": _distinct(report["device"] for report in reports),
        "precision": _distinct(report["precision"] for report in reports),
        "stability_mode": _distinct(report.get("stability_mode") for report in reports),
        "compile_backend": _distinct(report.get("compile_backend") for report in reports),
        "recompiles": max((report.get("recompiles", 0) for report in reports), default=0),
        "weights": sorted({str(row["file"]) for report in reports for row in report["weights"]}),
    }


def _time_facts(good: Sequence[PredictionResult], rounds: Sequence[Round]) -> Json:
    photos = sum(len(result.names) for result in good)
    total_s = sum(each.total_s for each in rounds)
    photo_times_s = (result.wall_s / len(result.names) for result in good for _ in result.names)
    server_times_s = (result.predict_time_s for result in good if result.predict_time_s is not None)
    return {
        "round_totals": summary(each.total_s for each in rounds if each.succeeded),
        "per_request": summary(result.wall_s for result in good),
        "per_image": summary(photo_times_s),
        "predict_time": summary(server_times_s),
        "photos_per_second": round(photos / total_s, 4) if photos else None,
    }


def mean_stages_ms(results: Sequence[PredictionResult]) -> dict[str, float]:
    """Return the mean time of a photo in each stage; stages of a pipeline's step carry its task.

    `server` is the time of the server outside of all stages (Cog's decoding of inputs and encoding
    of outputs), `client` the time of the client outside of the server.
    """
    totals: defaultdict[str, float] = defaultdict(float)
    for result in results:
        stages = list(_stages_of(result))
        for stage, ms in stages:
            totals[stage] += ms
        server_ms = 1000 * (result.predict_time_s or 0.0)
        totals["server"] += max(0.0, server_ms - sum(ms for _, ms in stages))
        totals["client"] += max(0.0, 1000 * result.wall_s - server_ms)
    photos = sum(len(result.names) for result in results)
    return {name: round(ms / photos, 2) for name, ms in totals.items()}


def _stages_of(result: PredictionResult) -> Iterator[tuple[str, float]]:
    for report in result.reports:
        yield from report["stages_ms"].items()
        for step in report["steps"]:
            for stage, ms in step["stages_ms"].items():
                yield f"{step['task']}: {stage}", ms


def _distinct(values: Iterable[object]) -> str:
    """Join the distinct values as text, without None."""
    return ", ".join(sorted({str(value) for value in values} - {"None"}))
