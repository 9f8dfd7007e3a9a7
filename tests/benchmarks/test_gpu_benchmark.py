"""The run over a GPU: its verdicts, its clock, and that it measures what it names."""

import pytest
import torch

from benchmarks import gpu, nets
from benchmarks.networks import inputs_of, networks
from restore.errors import RestoreError

SMALL = gpu.Wanted("lite-scratches@64x2", 5.0, 2)


def row(
    milliseconds: float, error: float = 1e-6, dtype: str = "float32", engine: str = "default"
) -> dict[str, object]:
    return {
        "ms": milliseconds,
        "largest_error": error,
        "dtype": dtype,
        "engine": engine,
        "percent_of_floor": 50.0,
    }


def test_a_time_is_of_one_photo_and_of_a_sound_answer():
    line = gpu.best_line(
        SMALL,
        [
            row(12.0),
            row(9.0, engine="inductor"),
            row(1.0, error=0.3, dtype="float16"),
            {"error": "broken"},
        ],
    )
    assert "4.50 ms" in line
    assert "reached" in line
    assert "inductor, float32" in line
    assert "MISSED" in gpu.best_line(SMALL, [row(10.5)])


def test_what_was_not_measured_says_why():
    rows = [{"skipped": "no file"}, row(1.0, error=0.3)]
    assert "no file" in gpu.best_line(SMALL, rows)
    assert "too far" in gpu.best_line(SMALL, rows)


def test_networks_are_measured_and_recorded_until_time_is_up(monkeypatch):
    recorded = []
    monkeypatch.setattr(gpu, "record", lambda name, found: recorded.append((name, found)))
    monkeypatch.setattr(gpu, "ENGINES", ("default",))
    monkeypatch.setattr(gpu, "DTYPES", {"float32": torch.float32})
    left = iter([100.0, 59.0])
    first, second = gpu.of_networks(torch.device("cpu"), 1, lambda: next(left), [SMALL, SMALL])
    assert " ms " in first
    assert "left out" in second
    [(name, found)] = recorded
    assert (name, found["net"], found["batch"], found["device"]) == (
        "nets",
        "lite-scratches",
        2,
        "cpu",
    )


def test_every_wanted_network_can_be_named():
    assert [network.name for one in gpu.WANTED for network in networks([one.network])] == [
        one.network for one in gpu.WANTED
    ]


def test_a_name_gives_side_and_batch():
    [one] = networks(["lite-scratches@96x3"])
    assert [tuple(tensor.shape) for tensor in inputs_of(one)] == [(3, 1, 96, 96)]
    for wrong in (
        "codeformer@256",
        "lite-scratches@0",
        "lite-scratches@64x0",
        "lite-scratches@x2",
        "nothing@64",
    ):
        with pytest.raises(RestoreError, match="is not measured"):
            networks([wrong])


def test_without_the_device_nothing_starts(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(nets, "measured", lambda *_: pytest.fail("it started"))
    assert gpu.main(["--device", "cuda:77"]) == 2
    assert "E50" in capsys.readouterr().err
