"""soak: its requests, the measurement of growth, and what makes a run fail."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakecog import FakeCog

from benchmarks import memory as memory_module
from benchmarks import soak as soak_module
from benchmarks.client import PredictionResult
from benchmarks.memory import MemorySamples, MemoryWatch, growth_mb, resident_mb
from benchmarks.soak import main, plot, send_all, summarize
from benchmarks.soak_requests import (
    TASKS,
    expected_request,
    random_requests,
    warm_up_requests,
)
from restore.options import INSPECT_TASK
from restore.options import TASKS as ALL_TASKS


def samples_of(resident_mb: Iterable[float]) -> MemorySamples:
    samples = list(resident_mb)
    return MemorySamples([float(n) for n in range(len(samples))], samples, [0.0] * len(samples))


def test_growth_is_the_highest_later_median_minus_the_first() -> None:
    assert growth_mb([5.0] * 40) == 0.0
    assert growth_mb([2000.0] * 10 + [3000.0] * 20 + [2050.0] * 10) == 1000.0, (
        "memory that is freed again counts as well"
    )
    assert growth_mb([100.0 * n for n in range(40)]) == pytest.approx(3500.0)
    noise = np.random.default_rng(1).normal(0, 30, 400) + 2000
    assert abs(growth_mb(list(noise))) < 20
    assert growth_mb([*[2000.0] * 39, 9999.0]) == 0.0, "a single sample does not count"
    assert growth_mb([3000.0] * 10 + [2000.0] * 70) == -1000.0
    assert growth_mb([1.0, 2.0]) == growth_mb([]) == 0.0


@pytest.mark.parametrize(
    ("samples", "wrong", "requests", "met"),
    [
        ([2000.0] * 100, [], 60, True),
        ([2000.0 + n for n in range(100)], [], 60, True),
        ([2000.0 + 3 * n for n in range(100)], [], 60, False),
        ([2000.0] * 40 + [2500.0] * 20 + [2000.0] * 40, [], 60, False),
        ([2000.0] * 100, ["upscale: lost, succeeded expected: gone"], 60, False),
        ([2000.0] * 100, [], 10, False),
    ],
    ids=["flat", "a little", "leak", "up and down", "lost", "too few"],
)
def test_run_passes_only_with_flat_memory_and_expected_results(
    samples: list[float], wrong: list[str], requests: int, met: bool
) -> None:
    result = summarize(Counter(upscale=requests), wrong, samples_of(samples))
    assert result["met"] is met
    assert result["lost"] == len(wrong)


def test_growth_of_device_memory_fails_the_run() -> None:
    samples = samples_of([2000.0] * 100)
    samples.device_mb = [10.0 * n for n in range(100)]
    assert summarize(Counter(upscale=60), [], samples)["met"] is False


def test_random_requests_cover_tasks_and_faults_and_depend_on_the_seed() -> None:
    drawn = list(random_requests(120, 3))
    assert set(TASKS) == set(ALL_TASKS) - {INSPECT_TASK}
    assert set(TASKS) <= {each.kind for each in drawn}
    faulty = Counter(each.kind for each in drawn if each.expected != "succeeded")
    assert len(faulty) == 6
    assert 0.1 < sum(faulty.values()) / 120 < 0.3
    assert [each.prediction.body for each in random_requests(12, 3)] == [
        each.prediction.body for each in drawn[:12]
    ]
    assert drawn[0].prediction.body != next(random_requests(1, 4)).prediction.body


@pytest.mark.parametrize(
    ("expected", "status", "error", "met"),
    [
        ("succeeded", "succeeded", "", True),
        ("succeeded", "failed", "[E501] memory", False),
        ("succeeded", "lost", "gone", False),
        ("[E206]", "failed", "[E206] damaged", True),
        ("[E206]", "failed", "[E505] fault", False),
        ("[E206]", "succeeded", "", False),
    ],
)
def test_request_matches_the_expected_outcome_only(
    expected: str, status: Any, error: str, met: bool
) -> None:
    result = PredictionResult(("a",), status, 1.0, error)
    assert expected_request("upscale", {}, expected).matches(result) is met


def test_lost_request_ends_the_run_and_is_reported() -> None:
    cog = FakeCog()
    cog.responses = [(200, {"status": "failed", "error": "[E206] damaged"}), None]
    body = {"images": ["x"]}
    requests = [
        expected_request("a", body, "[E206]"),
        expected_request("b", body),
        expected_request("c", body),
    ]
    kinds, wrong = send_all(cog.url, iter(requests), None)
    cog.close()
    assert kinds == {"a": 1, "b": 1}
    assert len(wrong) == 1
    assert "b: lost, succeeded expected" in wrong[0]


ALLOCATE = """
print("started", flush=True)
input()
kept = bytearray(b"\\1" * 150_000_000)
print("allocated", flush=True)
input()
"""


def test_growth_of_a_session_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_module, "SAMPLE_INTERVAL_S", 0.02)
    # A session of its own: the session of the tests has other processes, whose memory changes.
    with subprocess.Popen(
        [sys.executable, "-c", ALLOCATE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        before = resident_mb(process.pid)
        assert before > 1
        with MemoryWatch(process.pid) as watch:
            process.stdin.write("\n")
            assert process.stdout.readline() == "allocated\n"
            assert resident_mb(process.pid) > before + 140
            while max(watch.samples.resident_mb) < before + 140:
                time.sleep(0.01)
        process.stdin.write("\n")
    samples = watch.samples
    assert max(samples.resident_mb) < before + 350
    assert len(samples.at_s) == len(samples.resident_mb) == len(samples.device_mb) > 1
    assert resident_mb(process.pid) == 0


def test_plot_and_row_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plot(samples_of([1.0, 2.0, 3.0, 4.0]), tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
    results = iter([{"met": True}, {"met": False}])
    rows: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(soak_module, "soak", lambda options: next(results))
    monkeypatch.setattr(soak_module, "record", lambda name, row: rows.append((name, row)))
    assert main(["--record"]) == 0
    assert main([]) == 1
    assert [(name, row["met"]) for name, row in rows] == [("soak", True)]
    assert json.loads(capsys.readouterr().out.partition("}\n")[0] + "}") == {"met": True}


def test_warm_up_covers_every_task_and_mode() -> None:
    inputs = [json.loads(each.prediction.body)["input"] for each in warm_up_requests()]
    assert {(each["task"], each["stability_mode"]) for each in inputs} == {
        (task, mode) for task in TASKS for mode in ("safe", "optimized")
    }
    assert all(len(each["images"]) == 4 for each in inputs)


def test_request_names_each_photo() -> None:
    request = next(each for each in random_requests(40, 1) if each.expected == "succeeded")
    images = json.loads(request.prediction.body)["input"]["images"]
    assert len(request.prediction.names) == len(images)
