"""The benchmark of single networks: what is built, and what its rows say."""

import json
import logging
import sys
from types import ModuleType

import pytest
import torch
from conftest import PROJECT
from torch import nn

from benchmarks import engines, nets, rows
from benchmarks.engines import ENGINES, SkippedError
from benchmarks.floors import Peaks
from benchmarks.nets import main, measured, relative_error
from benchmarks.networks import (
    ALIKE,
    LIBRARY,
    SIDES_PX,
    UNBUILT,
    Network,
    blank,
    by_recipe,
    inputs_of,
    networks,
    ready,
)
from restore.errors import RestoreError
from restore.models.architectures import BUILDERS
from restore.models.catalog import Catalog

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


@pytest.fixture
def small() -> Network:
    return Network(Catalog.load().get("lite-colorize"), 64)


def test_every_row_of_the_manifest_is_measured_or_says_why_not():
    catalog = Catalog.load()
    known = {row.id for row in catalog.rows}
    measured_rows = {network.row.id for network in networks()}
    assert measured_rows | ALIKE.keys() == known
    assert measured_rows.isdisjoint(ALIKE)
    for row in catalog.rows:
        ways = [
            row.id in ALIKE,
            row.architecture in BUILDERS and row.id not in ALIKE,
            row.id in LIBRARY,
            row.id in UNBUILT,
        ]
        assert sum(ways) == 1, f"{row.id} needs one builder, a likeness or a reason"
    for one, other in ALIKE.items():
        assert catalog.get(one).architecture == catalog.get(other).architecture
    assert LIBRARY.keys() | UNBUILT.keys() <= known
    assert SIDES_PX.keys() <= {row.architecture for row in catalog.rows}


def test_networks_are_named_by_row_or_by_row_and_size():
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
def test_a_built_network_has_as_many_numbers_as_its_official_file(row_id):
    manifest = json.loads(
        (
            PROJECT / "tests" / "conformance" / "goldens" / GOLDENS[row_id] / "manifest.json"
        ).read_text()
    )
    official = sum(torch.Size(row["s"]).numel() for row in manifest)
    assert (
        sum(tensor.numel() for tensor in blank(Catalog.load().get(row_id)).state_dict().values())
        == official
    )


def test_the_large_ddcolor_differs_from_the_tiny_one_in_its_encoder():
    large, tiny = (LIBRARY[f"ddcolor-{name}"][1] for name in ("modelscope", "paper-tiny"))
    assert (large["encoder_name"], tiny["encoder_name"]) == ("convnext-l", "convnext-t")
    assert {key: value for key, value in large.items() if key != "encoder_name"} == {
        k: v for k, v in tiny.items() if k != "encoder_name"
    }


def test_recipe_weights_are_seeded_leave_nothing_at_zero_and_the_generator_alone():
    row = Catalog.load().get("lite-scratches")
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    first, second = by_recipe(row), by_recipe(row)
    assert torch.equal(torch.rand(3), expected)
    for (name, one), other in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other), name
        assert float(one.abs().max()) > 1e-3, name
        assert not one.requires_grad
    assert not first.training


def test_spectral_norms_are_settled_before_they_are_folded():
    row = Catalog.load().get("oldphoto-face-256")
    net = by_recipe(row)
    assert not any(name.endswith("weight_orig") for name, _ in net.named_parameters())
    [largest] = torch.linalg.matrix_norm(net.get_submodule("up_3.conv_s").weight.flatten(1), 2)[
        None
    ]
    assert float(largest) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    "row_id",
    ["lite-inpaint", "lite-scratches", "retinaface-mobile0.25", "oldphoto-mapping-scratch"],
)
def test_inputs_fit_their_networks(row_id):
    network = Network(Catalog.load().get(row_id), 64)
    it = ready(network)
    assert all(
        torch.equal(one, other) for one, other in zip(it.inputs, inputs_of(network), strict=True)
    )
    with torch.inference_mode():
        answer = list(engines.tensors_in(it.module(*it.inputs)))
    assert answer
    assert all(bool(torch.isfinite(tensor).all()) for tensor in answer)


def test_holes_are_black_and_reach_the_mask():
    [masked] = inputs_of(Network(Catalog.load().get("lite-inpaint"), 64))
    hole = masked[:, 3:] > 0
    assert 0 < hole.float().mean() < 0.2
    assert float(masked[:, :3][hole.expand(-1, 3, -1, -1)].abs().max()) == 0


def test_a_row_has_time_error_floor_and_origin(small):
    default, other = measured(small, ["default", "channels_last"], ["float32"], CPU, 2, PEAKS)
    assert (default["net"], default["side_px"], default["weights"]) == (
        "lite-colorize",
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


def test_channels_last_leaves_the_module_it_was_given_alone(small):
    it = ready(small)
    engines.channels_last(it.module, it.inputs)()
    assert all(parameter.is_contiguous() for parameter in it.module.parameters())


def test_an_engine_that_fails_is_a_row_and_the_others_go_on_in_turn(small, monkeypatch):
    order: list[str] = []

    def scripted(name: str, failing_call: int = 99):
        def engine(module: nn.Module, inputs: list[torch.Tensor]):
            calls = []

            def call() -> list[torch.Tensor]:
                calls.append(name)
                order.append(name)
                if len(calls) == failing_call:
                    raise RuntimeError(f"{name} ran dry\nand more")
                return [module(*inputs)]

            return call

        return engine

    def absent(module: nn.Module, inputs: object):
        raise SkippedError("the package absent is not installed")

    def broken(module: nn.Module, inputs: object):
        raise NotImplementedError("no such layer")

    def infinite(module: nn.Module, inputs: list[torch.Tensor]):
        return lambda: [module(*inputs) / 0]

    given = {
        "a": scripted("a"),
        "absent": absent,
        "broken": broken,
        "infinite": infinite,
        "late": scripted("late", 2),
        "b": scripted("b"),
    }
    monkeypatch.setattr(nets, "ENGINES", given)
    a, none, failed, without_end, late, b = measured(small, list(given), ["float32"], CPU, 3, {})
    assert none["skipped"] == "the package absent is not installed"
    assert failed["error"] == "NotImplementedError: no such layer"
    assert "NaN or infinity" in without_end["error"]
    assert late["error"] == "RuntimeError: late ran dry"
    assert all("ms" not in row for row in (none, failed, without_end, late))
    assert all(row["ms"] > 0 and row["percent_of_floor"] is None for row in (a, b))
    assert order == ["a", "late", "b", "a", "late", "b", "a", "b", "a", "b"]


def test_a_network_that_is_not_here_is_a_row(tmp_path, monkeypatch):
    monkeypatch.setenv("RESTORE_WEIGHTS_DIR", str(tmp_path))
    [row] = measured(networks(["lama-big"])[0], ["default"], ["float32"], CPU, 1, PEAKS)
    assert "TorchScript" in row["skipped"]


def test_a_precision_that_would_end_the_process_is_not_tried(small):
    plain, fatal = measured(
        small, ["default"], ["float32", "bfloat16"], CPU, 1, PEAKS, {"bfloat16": "would end it"}
    )
    assert "ms" in plain
    assert (fatal["dtype"], fatal["skipped"]) == ("bfloat16", "would end it")


@pytest.mark.parametrize("engine", ["openvino", "openvino_converted", "ncnn"])
def test_engines_of_other_packages_are_skipped_where_these_are_not_installed(
    small, monkeypatch, engine
):
    for module in ("openvino", "openvino.torch", "ncnn", "pnnx"):
        monkeypatch.setitem(sys.modules, module, None)
    [row] = measured(small, [engine], ["float32"], CPU, 1, PEAKS)
    assert "is not installed" in row["skipped"]
    [row] = measured(small, [engine], ["bfloat16"], CPU, 1, PEAKS)
    assert "float32 only" in row["skipped"]


def test_openvino_that_hands_its_work_back_to_torch_is_a_failure(small, monkeypatch):
    for module in ("openvino", "openvino.torch"):
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
    complaints = ["Failed in OpenVINO execution: no such operation\nand more"]

    def compiled(module: nn.Module, **options: object) -> nn.Module:
        for complaint in complaints:
            logging.getLogger("openvino.frontend.pytorch.torchdynamo.backend").debug(complaint)
        return module

    monkeypatch.setattr(torch, "compile", compiled)
    [row] = measured(small, ["openvino"], ["float32"], CPU, 1, PEAKS)
    assert row["error"] == "RuntimeError: Failed in OpenVINO execution: no such operation"
    complaints.clear()
    [row] = measured(small, ["openvino"], ["float32"], CPU, 1, PEAKS)
    assert row["largest_error"] == 0


def test_relative_error_is_that_of_the_worst_output():
    expected = [torch.tensor([1.0, -4.0]), torch.tensor([0.5])]
    assert relative_error(
        [torch.tensor([1.0, -4.0]), torch.tensor([0.4])], expected
    ) == pytest.approx(0.2)
    assert relative_error(
        [torch.tensor([1.4, -4.0]), torch.tensor([0.5])], expected
    ) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="answers with"):
        relative_error([torch.tensor([1.0, -4.0])], expected)


def test_the_command_prints_and_records(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(rows, "RESULTS", tmp_path)
    monkeypatch.setattr(nets, "measure_peaks", lambda device, dtype: PEAKS["float32"])
    threads = str(torch.get_num_threads())
    wanted = [
        "--nets",
        "lite-colorize,lama-big",
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
    monkeypatch.setattr(sys, "argv", ["nets", *wanted])
    main()
    written = [json.loads(line) for line in (tmp_path / "nets.jsonl").read_text().splitlines()]
    assert [row["net"] for row in written] == ["lite-colorize", "lama-big"]
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
    assert "lite-colorize@256" in output
    assert "skipped: its network is a TorchScript" in output
    for wrong in (
        ["--engines", "warp"],
        ["--dtypes", "int3"],
        ["--nets", "nothing"],
        ["--repeats", "0"],
    ):
        monkeypatch.setattr(sys, "argv", ["nets", *wrong])
        with pytest.raises(SystemExit):
            main()
        assert wrong[1] in capsys.readouterr().err or wrong[0] == "--repeats"


def test_the_engines_asked_for_by_default_exist():
    assert {"default", "channels_last", "inductor", "openvino", "ncnn"} <= ENGINES.keys()
