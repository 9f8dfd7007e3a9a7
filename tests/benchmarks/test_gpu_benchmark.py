"""The run over a GPU: what it measures, in which order, what it keeps, and that it runs through on a CPU."""

import json

import pytest
import torch

from benchmarks import gpu
from benchmarks.networks import inputs_of, networks
from restore.errors import RestoreError

SMALL = gpu.Wanted("lite-faces@256", 5.0)
CPU = torch.device("cpu")


def test_every_wanted_network_can_be_named():
    assert [network.name for one in gpu.WANTED for network in networks([one.network])] == [one.network for one in gpu.WANTED]
    assert all(networks([one.small]) for one in gpu.WANTED if one.small)


def test_the_most_promising_rows_come_first_and_kernels_only_where_there_are_some():
    wanted = [gpu.Wanted("codeformer@512", precisions=("float16",)), gpu.Wanted("nafnet-sidd-width64@64")]
    found = list(gpu.cases(wanted, [(0, "kernels+graph"), (1, "compiled+graph"), ("float32", "library")]))
    assert found == [
        gpu.Case("nafnet-sidd-width64@64", "float16", "kernels+graph"),
        gpu.Case("nafnet-sidd-width64@64", "bfloat16", "compiled+graph"),
        gpu.Case("codeformer@512", "float32", "library"),
        gpu.Case("nafnet-sidd-width64@64", "float32", "library"),
    ]


def test_rows_are_kept_and_not_measured_again(tmp_path, monkeypatch, capsys):
    rows = tmp_path / "rows.jsonl"
    monkeypatch.setattr(gpu, "SMALL_ORDER", (("bfloat16", "eager"), ("float32", "library")))
    gpu.measure_here([SMALL], CPU, rows, lambda: 1.0)
    first, second = (json.loads(line) for line in rows.read_text().splitlines())
    assert (first["precision"], first["engine"], first["device"]) == ("bfloat16", "eager", "cpu")
    assert first["finite"]
    assert 30.0 < first["psnr_db"] < 100.0
    assert second["psnr_db"] == 200.0
    assert first["ms"] > 0.0
    assert "of 0" not in capsys.readouterr().out
    gpu.measure_here([SMALL], CPU, rows, lambda: 1.0)
    gpu.measure_here([gpu.Wanted("lite-colorize@256")], CPU, rows, lambda: -1.0)
    assert len(rows.read_text().splitlines()) == 2
    assert "left out, no time" in capsys.readouterr().out


def test_a_failed_row_says_why_and_is_tried_again(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(gpu, "call_of", fail)
    rows = tmp_path / "rows.jsonl"
    monkeypatch.setattr(gpu, "SMALL_ORDER", (("float32", "library"),))
    gpu.measure_here([SMALL], CPU, rows, lambda: 1.0)
    assert json.loads(rows.read_text())["error"] == "RuntimeError: no such kernel"
    assert gpu.known_cases(rows, "cpu") == set()


def test_psnr_is_of_the_references_span():
    reference = torch.tensor([0.0, 10.0])
    assert gpu.psnr_db(reference + 1.0, reference) == pytest.approx(20.0)
    assert gpu.psnr_db(reference, reference) == 200.0
    assert gpu.psnr_db(reference * float("nan"), reference) < 0.0


def test_a_name_gives_side_and_batch():
    [one] = networks(["lite-scratches@96x3"])
    assert [tuple(tensor.shape) for tensor in inputs_of(one)] == [(3, 1, 96, 96)]
    for wrong in ("codeformer@256", "lite-scratches@0", "lite-scratches@64x0", "lite-scratches@x2", "nothing@64"):
        with pytest.raises(RestoreError, match="is not measured"):
            networks([wrong])


def test_without_the_device_nothing_starts(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "measure_beside", lambda *_: pytest.fail("it started"))
    assert gpu.main(["--device", "cuda:77"]) == 2
    assert "E50" in capsys.readouterr().err
