"""nets and networks: how networks are built without files, and the rows of measurements."""

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from places import PROJECT
from torch import nn

from benchmarks import engines, nets, rows
from benchmarks.engines import ENGINES, Call, Engine, SkippedError
from benchmarks.floors import Peaks
from benchmarks.nets import main, measured, relative_error
from benchmarks.networks import (
    SAME_NETWORK,
    SIDES_PX,
    MissingError,
    Network,
    blank,
    by_recipe,
    inputs_of,
    networks,
    ready,
)
from restore.errors import RestoreError
from restore.models.catalog import Catalog, Checkpoint

CPU = torch.device("cpu")
PEAKS = {"float32": Peaks(100.0, 50.0, 10.0)}
GOLDENS = {
    "realesrgan-x4plus": "RealESRGAN_x4plus",
    "realesrgan-x4anime": "RealESRGAN_x4plus_anime_6B",
    "realesrgan-x2plus": "RealESRGAN_x2plus",
    "realesr-general-x4v3": "realesr_general_x4v3",
    "realesr-animevideov3": "realesr_animevideov3",
    "nafnet-sidd-width64": "NAFNet_SIDD",
    "nafnet-gopro-width64": "NAFNet_GoPro",
    "codeformer": "CodeFormer",
    "gfpgan-1.4": "GFPGAN",
    "restoreformer": "RestoreFormer",
    "ddcolor-paper-tiny": "DDColor_tiny",
}


def row_of(row_id: str) -> Checkpoint:
    return networks([row_id])[0].row


def measure(*arguments: Any) -> list[dict[str, Any]]:
    """Call `measured`, whose rows have values of type object."""
    return measured(*arguments)


@pytest.fixture
def small() -> Network:
    return Network(row_of("lite-denoise"), 64)


def test_every_row_is_measured_or_has_the_same_network_as_another() -> None:
    catalog = Catalog.load()
    rows = {row.id: row for row in catalog.rows}
    measured_rows = {network.row.id for network in networks()}
    assert measured_rows | SAME_NETWORK.keys() == rows.keys()
    assert measured_rows.isdisjoint(SAME_NETWORK)
    for first, second in SAME_NETWORK.items():
        assert rows[first].architecture == rows[second].architecture
    assert SIDES_PX.keys() <= {row.architecture for row in catalog.rows}


@pytest.mark.slow
def test_every_row_without_an_embedded_file_can_be_built_except_lama() -> None:
    for network in networks():
        if network.row.embedded:
            continue
        if network.row.id == "lama-big":
            with pytest.raises(MissingError, match="TorchScript"):
                by_recipe(network.row)
        else:
            assert any(True for _ in blank(network.row).parameters())


def test_networks_are_named_by_row_and_side() -> None:
    assert [network.name for network in networks(["nafnet-sidd-width64"])] == [
        "nafnet-sidd-width64@256",
        "nafnet-sidd-width64@512",
    ]
    assert [network.name for network in networks(["nafnet-sidd-width64@512"])] == [
        "nafnet-sidd-width64@512"
    ]
    with pytest.raises(RestoreError, match=r"gfpgan-1\.4"):
        networks(["gfpgan-1.3"])
    with pytest.raises(RestoreError, match="nothing"):
        networks(["nothing"])


@pytest.mark.parametrize("row_id", GOLDENS)
def test_built_network_has_as_many_values_as_its_official_file(row_id: str) -> None:
    manifest = json.loads(
        (
            PROJECT / "tests" / "conformance" / "goldens" / GOLDENS[row_id] / "manifest.json"
        ).read_text()
    )
    official = sum(torch.Size(row["s"]).numel() for row in manifest)
    assert sum(tensor.numel() for tensor in blank(row_of(row_id)).state_dict().values()) == official


@pytest.mark.slow
def test_large_and_tiny_ddcolor_differ_in_the_size_of_the_encoder() -> None:
    large, tiny = (
        blank(row_of(f"ddcolor-{name}")).state_dict() for name in ("modelscope", "paper-tiny")
    )
    decoders = [
        {key: value.shape for key, value in state.items() if "decoder.color_decoder" in key}
        for state in (large, tiny)
    ]
    assert decoders[0]
    assert decoders[0].keys() == decoders[1].keys()
    assert sum(value.numel() for value in large.values()) > 3 * sum(
        value.numel() for value in tiny.values()
    )


def test_recipe_weights_are_seeded_and_not_zero() -> None:
    row = row_of("lite-scratches")
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    first, second = by_recipe(row), by_recipe(row)
    assert torch.equal(torch.rand(3), expected)
    for (name, parameter), other in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(parameter, other), name
        assert float(parameter.abs().max()) > 1e-3, name
        assert not parameter.requires_grad
    assert not first.training


@pytest.mark.slow
def test_spectral_norms_converge_before_they_are_folded() -> None:
    row = row_of("oldphoto-face-256")
    net = by_recipe(row)
    assert not any(name.endswith("weight_orig") for name, _ in net.named_parameters())
    weight = dict(net.named_parameters())["up_3.conv_s.weight"]
    largest = torch.linalg.matrix_norm(weight.flatten(1), 2)
    assert float(largest) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    "row_id",
    ["lite-inpaint", "lite-scratches", "retinaface-mobile0.25", "oldphoto-mapping-scratch"],
)
def test_inputs_fit_their_networks(row_id: str) -> None:
    network = Network(row_of(row_id), 64)
    prepared = ready(network)
    pairs = zip(prepared.inputs, inputs_of(network), strict=True)
    assert all(torch.equal(first, second) for first, second in pairs)
    with torch.inference_mode():
        output = list(engines.tensors_in(prepared.module(*prepared.inputs)))
    assert output
    assert all(bool(torch.isfinite(tensor).all()) for tensor in output)


def test_inpainting_inputs_have_holes() -> None:
    photo, hole = inputs_of(Network(row_of("lite-inpaint"), 64))
    assert photo.shape == (1, 3, 64, 64)
    assert set(hole.unique().tolist()) == {0.0, 1.0}
    assert 0 < hole.mean() < 0.2


def test_row_contains_time_error_and_floor() -> None:
    network = Network(row_of("lite-scratches"), 64)
    default, other = measure(network, ["default", "channels_last"], ["float32"], CPU, 2, PEAKS)
    assert (default["net"], default["side_px"], default["weights"]) == (
        "lite-scratches",
        64,
        "embedded",
    )
    assert (default["engine"], other["engine"]) == ("default", "channels_last")
    assert default["largest_error"] == 0
    assert 0 < other["largest_error"] < 1e-4
    assert 0 < default["fastest_ms"] <= default["ms"]
    assert default["floor_ms"] == pytest.approx(2 * default["gmacs"] / 100 * 1000, rel=0.05)
    assert default["percent_of_floor"] == pytest.approx(
        100 * default["floor_ms"] / default["ms"], rel=0.05
    )


def test_channels_last_does_not_change_its_argument(small: Network) -> None:
    prepared = ready(small)
    engines.channels_last(prepared.module, prepared.inputs)()
    assert all(parameter.is_contiguous() for parameter in prepared.module.parameters())


def test_failed_engine_has_a_row_and_does_not_stop_the_others(
    small: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def counting(name: str, failing_call: int = 99) -> Engine:
        def engine(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Call:
            calls: list[str] = []

            def call() -> list[torch.Tensor]:
                calls.append(name)
                order.append(name)
                if len(calls) == failing_call:
                    raise RuntimeError(f"{name} is broken\nsecond line")
                return [module(*inputs)]

            return call

        return engine

    def absent(module: nn.Module, inputs: object) -> Call:
        raise SkippedError("the package absent is not installed")

    def broken(module: nn.Module, inputs: object) -> Call:
        raise NotImplementedError("no such layer")

    def infinite(module: nn.Module, inputs: Sequence[torch.Tensor]) -> Call:
        return lambda: [module(*inputs) / 0]

    given: dict[str, Engine] = {
        "a": counting("a"),
        "absent": absent,
        "broken": broken,
        "infinite": infinite,
        "late": counting("late", 2),
        "b": counting("b"),
    }
    monkeypatch.setattr(nets, "ENGINES", given)
    a, none, failed, not_finite, late, b = measure(small, list(given), ["float32"], CPU, 3, {})
    assert none["skipped"] == "the package absent is not installed"
    assert failed["error"] == "NotImplementedError: no such layer"
    assert "NaN or infinity" in not_finite["error"]
    assert late["error"] == "RuntimeError: late is broken"
    assert all("ms" not in row for row in (none, failed, not_finite, late))
    assert all(row["ms"] > 0 and row["percent_of_floor"] is None for row in (a, b))
    assert order == ["a", "late", "b", "a", "late", "b", "a", "b", "a", "b"]


def test_missing_network_has_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTORE_WEIGHTS_DIR", str(tmp_path))
    [row] = measure(networks(["lama-big"])[0], ["default"], ["float32"], CPU, 1, PEAKS)
    assert "TorchScript" in row["skipped"]


def test_fatal_precision_is_not_tried(small: Network) -> None:
    plain, fatal = measure(
        small, ["default"], ["float32", "bfloat16"], CPU, 1, PEAKS, {"bfloat16": "would end it"}
    )
    assert "ms" in plain
    assert (fatal["dtype"], fatal["skipped"]) == ("bfloat16", "would end it")


@pytest.mark.parametrize("engine", ["openvino", "openvino_converted", "ncnn"])
def test_engines_of_missing_packages_are_skipped(
    small: Network, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    for module in ("openvino", "openvino.torch", "ncnn", "pnnx"):
        monkeypatch.setitem(sys.modules, module, None)
    [row] = measure(small, [engine], ["float32"], CPU, 1, PEAKS)
    assert "is not installed" in row["skipped"]
    [row] = measure(small, [engine], ["bfloat16"], CPU, 1, PEAKS)
    assert "float32 only" in row["skipped"]


def test_openvino_that_falls_back_to_torch_is_a_failure(
    small: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("openvino", "openvino.torch"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    reports = ["Failed in OpenVINO execution: no such operation\nsecond line"]

    def compiled(module: nn.Module, **options: object) -> nn.Module:
        for report in reports:
            logging.getLogger("openvino.frontend.pytorch.torchdynamo.backend").debug(report)
        return module

    monkeypatch.setattr(torch, "compile", compiled)
    [row] = measure(small, ["openvino"], ["float32"], CPU, 1, PEAKS)
    assert row["error"] == "RuntimeError: Failed in OpenVINO execution: no such operation"
    reports.clear()
    [row] = measure(small, ["openvino"], ["float32"], CPU, 1, PEAKS)
    assert row["largest_error"] == 0


def test_relative_error_is_that_of_the_worst_output() -> None:
    expected = [torch.tensor([1.0, -4.0]), torch.tensor([0.5])]
    assert relative_error(
        [torch.tensor([1.0, -4.0]), torch.tensor([0.4])], expected
    ) == pytest.approx(0.2)
    assert relative_error(
        [torch.tensor([1.4, -4.0]), torch.tensor([0.5])], expected
    ) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="output shapes are"):
        relative_error([torch.tensor([1.0, -4.0])], expected)


def test_command_prints_and_records_rows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    monkeypatch.setattr(nets, "measure_peaks", lambda device, dtype: PEAKS["float32"])
    threads = str(torch.get_num_threads())
    arguments = [
        "--nets",
        "lite-denoise,lama-big",
        "--engines",
        "default",
        "--repeats",
        "1",
        "--threads",
        threads,
        "--device",
        "cpu",
        "--record",
    ]
    main(arguments)
    written = [json.loads(line) for line in (tmp_path / "nets.jsonl").read_text().splitlines()]
    assert [row["net"] for row in written] == ["lite-denoise", "lama-big"]
    assert written[0].keys() >= {
        "commit",
        "torch",
        "cpu",
        "device",
        "threads",
        "repeats",
        "load_before",
        "ms",
        "peak_gflops",
    }
    output = capsys.readouterr().out
    assert "lite-denoise@256" in output
    assert "skipped: the network of row 'lama-big' is a TorchScript program" in output
    for wrong in (
        ["--engines", "warp"],
        ["--dtypes", "int3"],
        ["--nets", "nothing"],
        ["--repeats", "0"],
    ):
        with pytest.raises(SystemExit):
            main(wrong)
        assert wrong[1] in capsys.readouterr().err or wrong[0] == "--repeats"


def test_default_engines_exist() -> None:
    assert {"default", "channels_last", "inductor", "openvino", "ncnn"} <= ENGINES.keys()
