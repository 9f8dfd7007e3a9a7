"""Tests of loading checkpoints: by keys or rows, by assignment, without running code."""

import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import spandrel
import torch
from facexlib.detection.retinaface import RetinaFace
from facexlib.parsing.parsenet import ParseNet
from places import PROJECT
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DRUNet import DRUNet
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.NAFNet import NAFNet
from torch import Tensor, nn

from restore.errors import Code, RestoreError
from restore.models import checkpoint_file
from restore.models.adapters.codeformer import CODEFORMER
from restore.models.catalog import Catalog
from restore.models.checkpoint_file import interpolate_weights
from restore.models.loader import load_model, load_net
from restore.models.policy import Resolved
from restore.models.verified_file import VerifiedFile
from restore.nets.lite.face import LiteFace

CATALOG = Catalog.load()
NETS: dict[str, Callable[[], nn.Module]] = {
    "Compact": lambda: Compact(num_feat=8, num_conv=2, upscale=4),
    "DRUNet": lambda: DRUNet(in_nc=3, out_nc=3, nc=[4, 4, 4, 4], nb=2),
    "ESRGAN": lambda: ESRGAN(in_nc=3, out_nc=3, num_filters=8, num_blocks=1, scale=4),
    "NAFNet": lambda: NAFNet(width=8, enc_blk_nums=[1, 1], middle_blk_num=1, dec_blk_nums=[1, 1]),
}
BACKBONES = {"retinaface_resnet50": "resnet50", "retinaface_mobile0.25": "mobile0.25"}
LITE_FACE_ROW = CATALOG.find("face_restore", "lite")


def save(net: nn.Module, path: Path, file_format: str = "zip") -> None:
    state = net.state_dict()
    if file_format == "safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        is_zip = file_format == "zip"
        torch.save({"params_ema": state}, path, _use_new_zipfile_serialization=is_zip)


def assert_ready(net: nn.Module) -> None:
    """Check that a network is in eval mode and has no gradients."""
    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("file_format", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("name", sorted(NETS))
def test_loaded_network_computes_the_same(tmp_path: Path, name: str, file_format: str) -> None:
    torch.manual_seed(3)
    net = NETS[name]().eval()
    path = tmp_path / f"net.{'safetensors' if file_format == 'safetensors' else 'pth'}"
    save(net, path, file_format)
    loaded = load_net(path)
    assert_ready(loaded)
    x = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), net(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(NETS))
def test_weights_are_mapped_from_the_file_and_not_copied(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(NETS[name](), tmp_path / "net.pth")
    mapped = set[int]()
    read_state = checkpoint_file.read_state

    def record(path: Path) -> dict[str, Tensor]:
        state = read_state(path)
        mapped.update(value.data_ptr() for value in state.values())
        return state

    monkeypatch.setattr(checkpoint_file, "read_state", record)
    net = load_net(tmp_path / "net.pth")
    pointers = {parameter.data_ptr() for parameter in net.parameters()}
    assert pointers
    assert pointers <= mapped


def test_half_precision_files_are_loaded_in_float32(tmp_path: Path) -> None:
    state = {key: value.half() for key, value in NETS["Compact"]().state_dict().items()}
    save_file(state, tmp_path / "net.safetensors")
    net = load_net(tmp_path / "net.safetensors")
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}


class Exploit:
    """A pickle of it creates the file `exploited` when it is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return (open, ("exploited", "w"))


def test_pickle_with_code_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"params": Exploit()}, tmp_path / "net.pth")
    with pytest.raises(RestoreError, match=r"net\.pth") as caught:
        load_net(tmp_path / "net.pth")
    assert caught.value.code is Code.WEIGHTS_UNSUPPORTED
    assert not (tmp_path / "exploited").exists()


def test_unknown_keys_are_rejected_with_the_file_name(tmp_path: Path) -> None:
    torch.save({"params": {"some.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(RestoreError, match=r"other\.pth") as caught:
        load_net(tmp_path / "other.pth")
    assert caught.value.code is Code.WEIGHTS_UNSUPPORTED


def test_file_without_state_dict_is_rejected(tmp_path: Path) -> None:
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(RestoreError, match=r"list\.pth.*contains a list") as caught:
        load_net(tmp_path / "list.pth")
    assert caught.value.code is Code.WEIGHTS_UNSUPPORTED


def test_weights_are_interpolated_linearly() -> None:
    first, second = {"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([3.0, 6.0])}
    assert interpolate_weights(first, second, 1.0)["a"].tolist() == [1.0, 2.0]
    assert interpolate_weights(first, second, 0.25)["a"].tolist() == [2.5, 5.0]


class TestNetworksOutsideSpandrel:
    @pytest.fixture(autouse=True)
    def no_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> None:
            pytest.fail("loading must not open a connection")

        monkeypatch.setattr(socket.socket, "connect", fail)

    # facexlib's own constructor warns; test_loading_does_not_warn tests the adapter.
    @pytest.mark.filterwarnings(
        "ignore:The parameter 'pretrained':UserWarning", "ignore:Arguments other than:UserWarning"
    )
    @pytest.mark.parametrize("name", sorted(BACKBONES))
    def test_detector_saved_from_a_parallel_module(self, tmp_path: Path, name: str) -> None:
        torch.manual_seed(4)
        net = RetinaFace(network_name=BACKBONES[name], half=False, device=torch.device("cpu"))
        state = {f"module.{key}": value for key, value in net.state_dict().items()}
        torch.save(state, tmp_path / "d.pth")
        loaded = load_net(tmp_path / "d.pth", CATALOG.find("face_detect", name))
        assert_ready(loaded)
        x = torch.rand(1, 3, 64, 96)
        with torch.inference_mode():
            for output, expected in zip(loaded(x), net.eval()(x), strict=True):
                torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)

    def test_face_parser(self, tmp_path: Path) -> None:
        torch.manual_seed(4)
        state = ParseNet(in_size=512, out_size=512, parsing_ch=19).state_dict()
        torch.save(state, tmp_path / "p.pth")
        loaded = load_net(tmp_path / "p.pth", CATALOG.find("face_restore", "codeformer", "parser"))
        assert_ready(loaded)
        assert loaded.state_dict().keys() == state.keys()
        assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())
        with torch.inference_mode():
            assert loaded(torch.rand(1, 3, 64, 64))[0].shape == (1, 19, 64, 64)

    @pytest.mark.parametrize("row", [LITE_FACE_ROW, None], ids=["with row", "by keys"])
    def test_lite_face_in_half_precision(self, tmp_path: Path, row: object) -> None:
        torch.manual_seed(4)
        net = LiteFace().half().float().eval()
        path = tmp_path / "f.safetensors"
        save_file({key: value.half() for key, value in net.state_dict().items()}, path)
        loaded = load_net(path, LITE_FACE_ROW if row else None)
        assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
        x = torch.rand(1, 3, 256, 256)
        with torch.inference_mode():
            torch.testing.assert_close(loaded(x), net(x), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("fault", ["other network", "missing", "additional", "shape"])
    def test_tensors_that_do_not_fit_are_rejected(self, tmp_path: Path, fault: str) -> None:
        state = LiteFace().state_dict()
        if fault == "other network":
            state = NETS["Compact"]().state_dict()
        elif fault == "missing":
            del state["tail.bias"]
        elif fault == "additional":
            state["more"] = torch.zeros(1)
        else:
            state["place"] = torch.zeros(1, 2, 3, 4)
        torch.save(state, tmp_path / "f.pth")
        with pytest.raises(RestoreError, match=r"f\.pth") as caught:
            load_net(tmp_path / "f.pth", LITE_FACE_ROW)
        assert caught.value.code is Code.WEIGHTS_UNSUPPORTED

    def test_file_that_cannot_be_read_is_not_called_unsupported(self, tmp_path: Path) -> None:
        with pytest.raises(RestoreError) as caught:
            load_net(tmp_path)
        assert caught.value.reason == f"'{tmp_path}' cannot be read (is a directory)"
        assert caught.value.code is Code.WEIGHTS_MISSING

    def test_extra_architectures_are_not_added_to_the_main_registry(self) -> None:
        CODEFORMER.create(CATALOG.find("face_restore", "codeformer"))
        assert "CodeFormer" not in {one.architecture.id for one in spandrel.MAIN_REGISTRY}

    @pytest.mark.slow
    def test_loading_does_not_warn(self) -> None:
        code = (
            "from restore.models.adapters import adapter_for; "
            "from restore.models.catalog import Catalog; "
            "[adapter_for(row.architecture).create(row) for row in Catalog.load().rows "
            "if row.variant in ('codeformer', 'retinaface_resnet50') and row.role == 'net']"
        )
        command = [sys.executable, "-W", "error", "-c", code]
        assert subprocess.run(command, cwd=PROJECT, check=False).returncode == 0


def test_partner_networks_are_loaded(tmp_path: Path) -> None:
    files = {}
    for row in CATALOG.group("upscale", "general_x4v3"):
        save(NETS["Compact"](), tmp_path / row.file)
        files[row.role] = VerifiedFile(row, tmp_path / row.file, row.role, 1)
    resolved = Resolved(files.pop("net"), files, "general_x4v3")
    model = load_model(resolved, torch.device("cpu"))
    assert model.partners.keys() == {"denoise_partner"}
    for net in (model.net, *model.partners.values()):
        assert_ready(net)
    assert [facts["sha256"] for facts in model.weights] == ["net", "denoise_partner"]
