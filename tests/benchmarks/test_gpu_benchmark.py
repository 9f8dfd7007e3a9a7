"""gpu: which cases it measures, in which order, and the rows of a small run on a CPU."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from places import PROJECT

from benchmarks import gpu, gpu_nets, gpu_requests, gpu_workers
from benchmarks.gpu_cases import CPU_ROUNDS, TARGETS, Case, Round, Target, cases, measured_cases
from benchmarks.gpu_subject import psnr_db
from benchmarks.gpu_workers import Settings
from benchmarks.networks import inputs_of, networks
from restore import Restorer
from restore.errors import RestoreError

LITE_FACES = list(cases([Target("lite-faces@256", 5.0)], CPU_ROUNDS))
CPU = torch.device("cpu")


def rows_in(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def replace_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the measurement of the peaks, which takes seconds."""
    monkeypatch.setattr(gpu_workers, "_peaks", lambda *_: {"bfloat16": 1.0, "float32": 1.0})


def check_quality(row: dict[str, object]) -> None:
    assert "error" not in row
    assert row["finite"]
    assert float(str(row["ms"])) > 0.0
    decibels = float(str(row["psnr_db"]))
    assert decibels == 200.0 if row["engine"] == "library" else 30.0 < decibels < 100.0


def test_every_target_names_a_network() -> None:
    names = [target.network for target in TARGETS]
    assert [network.name for network in networks(names)] == names
    assert all(networks([target.small]) for target in TARGETS if target.small)


def test_cases_are_in_the_order_of_rounds_and_kernels_need_an_implementation() -> None:
    targets = [
        Target("codeformer@512", precisions=("float16",)),
        Target("nafnet-sidd-width64@64"),
    ]
    rounds = [Round(0, "kernels+graph"), Round(1, "compiled+graph"), Round("float32", "library")]
    assert list(cases(targets, rounds)) == [
        Case("nafnet-sidd-width64@64", "float16", "kernels+graph"),
        Case("nafnet-sidd-width64@64", "bfloat16", "compiled+graph"),
        Case("codeformer@512", "float32", "library"),
        Case("nafnet-sidd-width64@64", "float32", "library"),
    ]


def test_small_run_on_a_cpu_writes_rows_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_peaks(monkeypatch)
    path = tmp_path / "rows.jsonl"
    command = ["--device", "cpu", "--small", "--part", "nets", "--minutes", "2"]
    command += ["--only", "lite-faces@256", "--rows", str(path)]
    assert gpu.main(command) == 0
    rows = rows_in(path)
    assert [(row["network"], row["precision"], row["engine"]) for row in rows] == [
        ("lite-faces@256", "bfloat16", "eager"),
        ("lite-faces@256", "float32", "library"),
    ]
    for row in rows:
        assert (row["device"], row["weights"]) == ("cpu", "embedded")
        check_quality(row)
    assert "lite-faces@256" in capsys.readouterr().out
    assert gpu.main(command) == 0
    assert len(rows_in(path)) == len(rows)


@pytest.mark.slow  # eight networks take about a minute
def test_small_run_of_all_networks(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    command = ["--device", "cpu", "--small", "--minutes", "10", "--rows", str(path)]
    assert gpu.main(command) == 0
    rows = rows_in(path)
    small = {target.small for target in TARGETS if target.small}
    assert {row["network"] for row in rows} == small
    assert len(rows) == len(CPU_ROUNDS) * len(small)
    for row in rows:
        check_quality(row)


def test_no_network_is_started_after_the_time_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    gpu_workers.measure_in_process(LITE_FACES, Settings(CPU, path), lambda: -1.0)
    assert not path.exists()
    assert "lite-faces@256: not measured, no time left" in capsys.readouterr().out


def test_failed_row_has_its_error_and_is_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(gpu_nets, "build_call", fail)
    replace_peaks(monkeypatch)
    path = tmp_path / "rows.jsonl"
    gpu_workers.measure_in_process(LITE_FACES[:1], Settings(CPU, path), lambda: 1.0)
    [row] = rows_in(path)
    assert row["error"] == "RuntimeError: no such kernel"
    assert measured_cases(path, "cpu") == set()


def test_worker_measures_its_cases(tmp_path: Path) -> None:
    (tmp_path / "peaks.json").write_text(json.dumps({"bfloat16": 1.0, "float32": 1.0}))
    (tmp_path / "start").touch()
    path = tmp_path / "rows.jsonl"
    settings = Settings(CPU, path, profile=True, folder=tmp_path)
    gpu_workers.run_worker("lite-scratches@64", "bfloat16,eager;float32,library", settings)
    assert measured_cases(path, "cpu") == set(cases([Target("lite-scratches@64")], CPU_ROUNDS))
    assert list(tmp_path.glob("ready-*"))


def test_page_shows_the_recorded_rows() -> None:
    rows = {
        (row["network"], row["precision"], row["engine"]): row
        for row in rows_in(PROJECT / "benchmarks" / "results" / "gpu.jsonl")
    }
    lines = (PROJECT / "docs" / "gpu.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "@" in line]
    shown = {(each[0], each[1], each[2]): each for each in cells if len(each) == 8}
    assert len(shown) > 60
    for key, each in shown.items():
        row: Any = rows[key]
        assert each[3].strip("*") == f"{row['ms'] / row['batch']:.2f}"
        assert each[5] == "-" or each[5].split()[0] == str(row["psnr_db"])
        assert each[6:] == [str(row.get("codes_agree", "")), str(row["percent_of_floor"])]


def test_psnr_has_the_range_of_the_reference_as_peak() -> None:
    reference = torch.tensor([0.0, 10.0])
    assert psnr_db(reference + 1.0, reference) == pytest.approx(20.0)
    assert psnr_db(reference, reference) == 200.0
    assert psnr_db(reference * float("nan"), reference) < 0.0


def test_name_contains_side_and_batch() -> None:
    [network] = networks(["lite-scratches@96x3"])
    assert [tuple(tensor.shape) for tensor in inputs_of(network)] == [(3, 1, 96, 96)]
    for wrong in (
        "codeformer@256",
        "lite-scratches@0",
        "lite-scratches@64x0",
        "lite-scratches@x2",
        "nothing@64",
    ):
        with pytest.raises(RestoreError, match="is not measured"):
            networks([wrong])


def test_missing_device_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "measure_nets", lambda *_: pytest.fail("it started"))
    assert gpu.main(["--device", "cuda:77"]) == 2
    assert "E50" in capsys.readouterr().err


def test_small_requests_and_setup_on_a_cpu_write_rows_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.jsonl"
    monkeypatch.setattr(gpu_requests, "SMALL_TASKS", ("upscale",))
    monkeypatch.setattr(gpu_requests, "BACKENDS", ("none",))
    for part, count in (("requests", 8), ("setup", 9)):
        command = ["--device", "cpu", "--small", "--part", part, "--minutes", "2"]
        for _ in range(2):
            assert gpu.main([*command, "--rows", str(path)]) == 0
            assert len(rows_in(path)) == count
    *requests, setup = rows_in(path)
    assert [(row["profile"], row["mode"], row["pixels"]) for row in requests[:5]] == [
        ("max_speed", "optimized", "device"),
        ("max_speed", "optimized", "host"),
        ("fast", "optimized", "device"),
        ("fast", "optimized", "host"),
        ("baseline", "optimized", "host"),
    ]
    for row in requests:
        assert "error" not in row
        assert float(str(row["worst_psnr_db"])) > 45.0
        is_on_device = row["pixels"] == "device"
        assert bool(row["uploaded_bytes"]) is is_on_device
        assert not is_on_device or float(str(row["near_host"])) >= 0.999
    assert float(str(setup["setup_s"])) > 0.0


def test_no_request_is_started_after_the_time_limit(
    tmp_path: Path, lite: Restorer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    gpu_requests.measure_requests(lite, path, lambda: -1.0, small=True)
    gpu_requests.measure_setup(path, CPU, "lite", lambda: -1.0, small=True)
    assert not path.exists()
    assert "not measured, no time left" in capsys.readouterr().out


def test_server_part_runs_on_the_device_and_records_nothing_if_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[list[str]] = []

    def run(arguments: list[str]) -> int:
        calls.append(arguments)
        return 0

    for module in ("bench_single_image", "run_bench"):
        monkeypatch.setattr(f"benchmarks.{module}.main", run)
    monkeypatch.setenv("RESTORE_DEVICE", "auto")
    assert gpu.main(["--device", "cpu", "--small", "--part", "server"]) == 0
    assert os.environ["RESTORE_DEVICE"] == "cpu"
    single, four = calls
    assert single[single.index("--repeats") + 1] == "1"
    assert four[four.index("--batch-size") + 1] == "4"
    assert "--record" not in four
