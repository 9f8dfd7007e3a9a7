"""soak: what it asks, how growth is told, and what makes it fail."""

import json
import os
import time
from collections import Counter

import numpy as np
import pytest
from fakecog import FakeCog

from benchmarks import soak as module
from benchmarks.client import Answer
from benchmarks.soak import (
    TASKS,
    Asked,
    Memory,
    Watch,
    asked,
    growth_mb,
    main,
    plot,
    requests_for,
    resident_mb,
    result_of,
    soaked,
    warm_up,
)
from restore.options import TASKS as ALL_TASKS


def memory_of(samples) -> Memory:
    return Memory(list(range(len(samples))), list(samples), [0.0] * len(samples))


def test_growth_is_that_of_the_worst_eighth_over_the_first():
    assert growth_mb([5.0] * 40) == 0.0
    assert growth_mb([2000.0] * 10 + [3000.0] * 20 + [2050.0] * 10) == 1000.0, (
        "it fell again, but had climbed"
    )
    assert growth_mb([100.0 * n for n in range(40)]) == pytest.approx(3500.0)
    noise = np.random.default_rng(1).normal(0, 30, 400) + 2000
    assert abs(growth_mb(list(noise))) < 20
    assert growth_mb([*[2000.0] * 39, 9999.0]) == 0.0, "one sample decides nothing"
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
def test_a_run_is_met_only_flat_and_whole(samples, wrong, requests, met):
    result = result_of(Counter(upscale=requests), wrong, memory_of(samples))
    assert result["met"] is met
    assert result["lost"] == len(wrong)


def test_growth_of_the_device_fails_a_run_too():
    memory = Memory(list(range(100)), [2000.0] * 100, [10.0 * n for n in range(100)])
    assert result_of(Counter(upscale=60), [], memory)["met"] is False


def test_every_task_and_kind_of_fault_is_asked_for_by_seed():
    drawn = list(requests_for(120, 3))
    assert set(TASKS) == set(ALL_TASKS)
    assert set(TASKS) <= {one.kind for one in drawn}
    faulty = Counter(one.kind for one in drawn if one.expected != "succeeded")
    assert len(faulty) == 6
    assert 0.1 < sum(faulty.values()) / 120 < 0.3
    assert [one.prediction.body for one in requests_for(12, 3)] == [
        one.prediction.body for one in drawn[:12]
    ]
    assert drawn[0].prediction.body != next(requests_for(1, 4)).prediction.body


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
def test_an_answer_must_be_of_its_requests_kind(expected, status, error, met):
    assert asked("upscale", {}, expected).met_by(Answer(("a",), status, 1.0, error)) is met


def test_what_is_lost_ends_the_run_and_is_said():
    cog = FakeCog()
    cog.answers = [(200, {"status": "failed", "error": "[E206] damaged"}), None]
    body = {"images": ["x"]}
    kinds, wrong = soaked(
        cog.url, iter([asked("a", body, "[E206]"), asked("b", body), asked("c", body)]), None
    )
    cog.close()
    assert kinds == {"a": 1, "b": 1}
    assert len(wrong) == 1
    assert "b: lost, succeeded expected" in wrong[0]


def test_memory_of_this_very_process_is_seen_to_grow(monkeypatch):
    monkeypatch.setattr(module, "SAMPLE_EVERY_S", 0.02)
    group = os.getpgid(0)
    before = resident_mb(group)
    assert before > 50
    with Watch(group) as memory:
        kept = bytearray(b"\1" * 150_000_000)
        while resident_mb(group) < before + 100:
            time.sleep(0.01)
        time.sleep(0.1)
    assert max(memory.resident_mb) > before + 100
    assert len(memory.at_s) == len(memory.resident_mb) == len(memory.device_mb) > 1
    assert len(kept) == 150_000_000


def test_a_picture_and_a_row_are_made_where_asked_for(tmp_path, monkeypatch, capsys):
    plot(memory_of([1.0, 2.0, 3.0, 4.0]), tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
    results = iter([{"met": True}, {"met": False}])
    rows = []
    monkeypatch.setattr(module, "soak", lambda options: next(results))
    monkeypatch.setattr(module, "record", lambda name, row: rows.append((name, row)))
    assert main(["--record"]) == 0
    assert main([]) == 1
    assert [(name, row["met"]) for name, row in rows] == [("soak", True)]
    assert json.loads(capsys.readouterr().out.partition("}\n")[0] + "}") == {"met": True}


def test_the_warm_up_asks_for_every_task_in_every_mode():
    inputs = [json.loads(one.prediction.body)["input"] for one in warm_up()]
    assert {(each["task"], each["stability_mode"]) for each in inputs} == {
        (task, mode) for task in TASKS for mode in ("safe", "optimized")
    }
    assert all(len(each["images"]) == 4 for each in inputs)


def test_a_request_knows_its_photos():
    one = next(
        one for one in requests_for(40, 1) if isinstance(one, Asked) and one.expected == "succeeded"
    )
    assert len(one.prediction.names) == len(json.loads(one.prediction.body)["input"]["images"])
