"""floors: counted work, measured peaks, and the floors computed from both."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from benchmarks import floors
from benchmarks.floors import (
    Peaks,
    Work,
    count,
    count_network,
    fatal_arithmetic,
    floor_of,
    main,
    measure_peaks,
)
from benchmarks.networks import networks

CPU = torch.device("cpu")


class CountedNet(nn.Module):
    """A convolution that is called twice, a product, and modules without memory traffic."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.again = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.nothing = nn.Sequential(nn.Identity(), nn.Dropout())
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        x = self.again(self.again(self.nothing(self.first(x))))
        return {"head": self.head(x.mean((2, 3)))}


def test_counted_work() -> None:
    work = count(CountedNet().eval(), [torch.zeros(2, 3, 16, 12)])
    positions = 2 * 16 * 12
    assert work.macs == positions * (8 * 3 * 9 + 2 * 8 * 9) + 2 * 8 * 5
    assert work.outputs == positions * 8 * 3 + 2 * 5
    assert work.parameters == 8 * 3 * 9 + 8 * 9 + 8 + 8 * 5 + 5


def test_counting_on_the_meta_device_is_equal_and_leaves_no_hooks() -> None:
    net = CountedNet().eval()
    assert count(net.to("meta"), [torch.zeros(2, 3, 16, 12, device="meta")]) == count(
        CountedNet().eval(), [torch.zeros(2, 3, 16, 12)]
    )
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.parametrize(
    ("name", "gmacs", "mparams"),
    [
        ("codeformer", 404.9, 94.1),
        ("gfpgan-1.4", 197.8, 86.4),
        ("nafnet-sidd-width64@256", 63.2, 116.0),
    ],
)
def test_networks_have_the_published_work(name: str, gmacs: float, mparams: float) -> None:
    [network] = networks([name])
    work = count_network(network)
    assert work.macs / 1e9 == pytest.approx(gmacs, abs=0.06)
    assert work.parameters / 1e6 == pytest.approx(mparams, abs=0.06)


def test_network_that_reads_its_data_is_counted_on_the_cpu() -> None:
    small, large = (
        count_network(networks([f"oldphoto-mapping-scratch@{side_px}"])[0]).macs
        for side_px in (32, 64)
    )
    assert large > 4 * small  # attention is quadratic in the number of positions


def test_floor_is_the_larger_of_arithmetic_and_memory() -> None:
    peaks = Peaks(matmul_gflops=100.0, conv_gflops=50.0, gb_per_s=10.0)
    floor = floor_of(Work(macs=5 * 10**9, outputs=10**8, parameters=1), peaks, 4)
    assert (floor.compute_s, floor.memory_s) == (pytest.approx(0.1), pytest.approx(0.08))
    assert (floor.seconds, floor.bound_by) == (floor.compute_s, "compute")
    floor = floor_of(Work(macs=10**9, outputs=10**8, parameters=1), peaks, 2)
    assert (floor.seconds, floor.bound_by) == (pytest.approx(0.04), "memory")


def test_peaks_are_the_best_of_all_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(
        [0.5, 0.5, 9.0, 9.0, *[0.25] * 8, 2.0, 2.0]
    )  # a warm-up and a call of two products, four convolutions, a copy
    monkeypatch.setattr(floors, "timed", lambda run, device: next(times))
    peaks = measure_peaks(CPU, torch.float32, seconds=0.0)
    assert peaks.matmul_gflops == pytest.approx(2 * 1024**3 / 0.5 / 1e9)
    assert peaks.conv_gflops == pytest.approx(2 * 4 * 64 * 64 * 9 * 256**2 / 0.25 / 1e9)
    assert peaks.gb_per_s == pytest.approx(2 * floors.COPIED_BYTES / 2.0 / 1e9)
    assert peaks.gflops == peaks.conv_gflops


def test_precision_without_arithmetic_has_no_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(run: object, device: object) -> float:
        raise RuntimeError("not implemented for 'Half'")

    monkeypatch.setattr(floors, "timed", refuse)
    with pytest.raises(RuntimeError, match=r"torch\.float16 has no arithmetic on cpu"):
        measure_peaks(CPU, torch.float16, seconds=0.0)


@pytest.mark.parametrize(
    ("code", "stderr", "expected"),
    [(0, "", None), (-4, "", "SIGILL"), (1, "x\nRuntimeError: no Half", "no Half")],
)
def test_fatal_precision_is_detected_in_another_process(
    monkeypatch: pytest.MonkeyPatch, code: int, stderr: str, expected: str | None
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **rest: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, code, "", stderr)

    monkeypatch.setattr(floors.subprocess, "run", run)
    assert fatal_arithmetic(CPU, torch.float32) is None
    assert not commands
    reason = fatal_arithmetic(CPU, torch.bfloat16)
    assert (reason is None) == (expected is None)
    assert (expected or "") in (reason or "")
    [command] = commands
    assert command[0] == sys.executable
    assert "torch.bfloat16" in command[2]
    compile(command[2], "probe", "exec")


def test_table_shows_floors_and_reasons(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(floors, "measure_peaks", lambda device, dtype: Peaks(100.0, 50.0, 10.0))
    threads = str(torch.get_num_threads())
    main(["--nets", "lite-faces,lama-big", "--device", "cpu", "--threads", threads])
    lines = capsys.readouterr().out.splitlines()
    [faces] = (line.split() for line in lines if line.startswith("lite-faces@256"))
    assert float(faces[1]) == pytest.approx(3.5, abs=0.1)
    assert float(faces[4]) == pytest.approx(2 * 3.5e9 / 100e9 * 1e3, rel=0.03)
    assert faces[5] == "compute"
    assert "TorchScript" in next(line for line in lines if line.startswith("lama-big@512"))
