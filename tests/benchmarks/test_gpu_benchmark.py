"""gpu: comparison with targets, the time limit, and recorded rows."""

import pytest
import torch

from benchmarks import gpu, nets
from benchmarks.networks import inputs_of, networks
from restore.errors import RestoreError

SMALL = gpu.Target("lite-scratches@64x2", 5.0, 2)


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


def test_time_is_per_photo_and_of_an_accurate_row() -> None:
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


def test_unmeasured_network_has_a_reason() -> None:
    rows: list[dict[str, object]] = [{"skipped": "no file"}, row(1.0, error=0.3)]
    assert "no file" in gpu.best_line(SMALL, rows)
    assert "error is too large" in gpu.best_line(SMALL, rows)


def test_networks_are_measured_and_recorded_within_the_time_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorded: list[tuple[str, dict[str, object]]] = []
    monkeypatch.setattr(gpu, "record", lambda name, found: recorded.append((name, found)))
    monkeypatch.setattr(gpu, "ENGINES", ("default",))
    monkeypatch.setattr(gpu, "DTYPES", {"float32": torch.float32})
    left = iter([100.0, 59.0])
    first, second = gpu.measure_networks(torch.device("cpu"), 1, lambda: next(left), [SMALL, SMALL])
    assert " ms " in first
    assert "no time left" in second
    [(name, found)] = recorded
    assert (name, found["net"], found["batch"], found["device"]) == (
        "nets",
        "lite-scratches",
        2,
        "cpu",
    )


def test_every_target_names_a_network() -> None:
    names = [target.network for target in gpu.TARGETS]
    assert [network.name for network in networks(names)] == names


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
    monkeypatch.setattr(nets, "measured", lambda *_: pytest.fail("it started"))
    assert gpu.main(["--device", "cuda:77"]) == 2
    assert "E50" in capsys.readouterr().err
