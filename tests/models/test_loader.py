"""Loading: from the checkpoint's own keys, by assignment, without running code from the file."""

import socket
import subprocess
import sys

import pytest
import spandrel
import torch
from conftest import PROJECT
from facexlib.detection.retinaface import RetinaFace
from facexlib.parsing.parsenet import ParseNet
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DRUNet import DRUNet
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.NAFNet import NAFNet

from restore.errors import Code, RestoreError
from restore.models.catalog import Catalog
from restore.models.loader import _extra_registry, interpolated, load_model, load_net, read_state
from restore.models.store import Resolved, VerifiedFile
from restore.nets.lite.face import LiteFace

NETS = {
    "Compact": lambda: Compact(num_feat=8, num_conv=2, upscale=4),
    "DRUNet": lambda: DRUNet(in_nc=3, out_nc=3, nc=[4, 4, 4, 4], nb=2),
    "ESRGAN": lambda: ESRGAN(in_nc=3, out_nc=3, num_filters=8, num_blocks=1, scale=4),
    "NAFNet": lambda: NAFNet(width=8, enc_blk_nums=[1, 1], middle_blk_num=1, dec_blk_nums=[1, 1]),
}


def saved(net: torch.nn.Module, path, form: str) -> None:
    state = net.state_dict()
    if form == "safetensors":
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    else:
        torch.save({"params_ema": state}, path, _use_new_zipfile_serialization=form == "zip")


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("name", sorted(NETS))
def test_a_net_computes_the_same_after_loading(tmp_path, name, form):
    torch.manual_seed(3)
    net = NETS[name]().eval()
    path = tmp_path / f"net.{'safetensors' if form == 'safetensors' else 'pth'}"
    saved(net, path, form)
    loaded = load_net(path)
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    x = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x), net(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(NETS))
def test_weights_are_the_files_mapping_not_a_copy(tmp_path, name, monkeypatch):
    saved(NETS[name](), tmp_path / "net.pth", "zip")
    held = {}

    def remembering(path):
        state = read_state(path)
        held.update({value.data_ptr(): key for key, value in state.items()})
        return state

    monkeypatch.setattr("restore.models.loader.read_state", remembering)
    net = load_net(tmp_path / "net.pth")
    pointers = [p.data_ptr() for p in net.parameters()]
    assert pointers
    assert all(pointer in held for pointer in pointers)


def test_half_precision_files_compute_in_float32(tmp_path):
    save_file(
        {k: v.half() for k, v in NETS["Compact"]().state_dict().items()},
        tmp_path / "net.safetensors",
    )
    assert {p.dtype for p in load_net(tmp_path / "net.safetensors").parameters()} == {torch.float32}


class Bomb:
    def __reduce__(self):
        return (open, ("exploded", "w"))


def test_a_pickle_that_would_run_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"params": Bomb()}, tmp_path / "net.pth")
    with pytest.raises(RestoreError, match=r"net\.pth") as caught:
        load_net(tmp_path / "net.pth")
    assert caught.value.code is Code.WEIGHTS_UNSUPPORTED
    assert not (tmp_path / "exploded").exists()


def test_unknown_keys_are_refused_by_file_name(tmp_path):
    torch.save({"params": {"some.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(RestoreError, match=r"other\.pth") as caught:
        load_net(tmp_path / "other.pth")
    assert caught.value.code is Code.WEIGHTS_UNSUPPORTED


def test_interpolation_is_linear_in_every_tensor():
    first, second = {"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([3.0, 6.0])}
    assert interpolated(first, second, 1.0)["a"].tolist() == [1.0, 2.0]
    assert interpolated(first, second, 0.25)["a"].tolist() == [2.5, 5.0]


CATALOG = Catalog.load()
RETINAFACE = {"retinaface_resnet50": "resnet50", "retinaface_mobile0.25": "mobile0.25"}


class TestWhatSpandrelDoesNotKnow:
    """By the name that the row gives, without asking the network for anything."""

    @pytest.fixture(autouse=True)
    def _no_internet(self, monkeypatch):
        def refuse(*_: object) -> None:
            pytest.fail("nobody is to be asked")

        monkeypatch.setattr(socket.socket, "connect", refuse)

    # Building one here warns as it does there; that loading itself warns of nothing is a test of its own below.
    @pytest.mark.filterwarnings(
        "ignore:The parameter 'pretrained':UserWarning", "ignore:Arguments other than:UserWarning"
    )
    @pytest.mark.parametrize("name", sorted(RETINAFACE))
    def test_detectors(self, tmp_path, name):
        """Their official files are bare and were saved from a parallel module."""
        torch.manual_seed(4)
        net = RetinaFace(network_name=RETINAFACE[name], half=False, device=torch.device("cpu"))
        torch.save(
            {f"module.{key}": value for key, value in net.state_dict().items()}, tmp_path / "d.pth"
        )
        loaded = load_net(tmp_path / "d.pth", CATALOG.find("face_detect", name))
        assert not loaded.training
        assert not any(p.requires_grad for p in loaded.parameters())
        x = torch.rand(1, 3, 64, 96)
        with torch.inference_mode():
            for ours, theirs in zip(loaded(x), net.eval()(x), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)

    def test_parser(self, tmp_path):
        torch.manual_seed(4)
        state = ParseNet(in_size=512, out_size=512, parsing_ch=19).state_dict()
        torch.save(state, tmp_path / "p.pth")
        loaded = load_net(tmp_path / "p.pth", CATALOG.find("face_restore", "codeformer", "parser"))
        assert not loaded.training
        assert loaded.state_dict().keys() == state.keys()
        assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())
        with torch.inference_mode():
            assert loaded(torch.rand(1, 3, 64, 64))[0].shape == (1, 19, 64, 64)

    @pytest.mark.parametrize("named", [True, False])
    def test_lite_face(self, tmp_path, named):
        """Kept in half precision, computed in full; its keys name it as well as its row does."""
        torch.manual_seed(4)
        net = LiteFace().half().float().eval()
        save_file(
            {key: value.half() for key, value in net.state_dict().items()},
            tmp_path / "f.safetensors",
        )
        loaded = load_net(
            tmp_path / "f.safetensors", CATALOG.find("face_restore", "lite") if named else None
        )
        assert {p.dtype for p in loaded.parameters()} == {torch.float32}
        x = torch.rand(1, 3, 256, 256)
        with torch.inference_mode():
            torch.testing.assert_close(loaded(x), net(x), rtol=0, atol=1e-6)

    @pytest.mark.parametrize("fault", ["other", "missing", "more", "shape"])
    def test_tensors_that_do_not_fit_are_refused_by_file_name(self, tmp_path, fault):
        state = LiteFace().state_dict()
        if fault == "other":
            state = NETS["Compact"]().state_dict()
        elif fault == "missing":
            del state["tail.bias"]
        elif fault == "more":
            state["more"] = torch.zeros(1)
        else:
            state["place"] = torch.zeros(1, 2, 3, 4)
        torch.save(state, tmp_path / "f.pth")
        with pytest.raises(RestoreError, match=r"f\.pth") as caught:
            load_net(tmp_path / "f.pth", CATALOG.find("face_restore", "lite"))
        assert caught.value.code is Code.WEIGHTS_UNSUPPORTED

    def test_architectures_beside_spandrel_come_from_a_registry_of_their_own(self):
        assert "CodeFormer" in {support.architecture.id for support in _extra_registry()}
        assert "CodeFormer" not in {support.architecture.id for support in spandrel.MAIN_REGISTRY}

    def test_they_come_without_a_warning(self):
        code = "from restore.models import architectures, loader; loader._extra_registry(); architectures.BUILDERS['retinaface_resnet50']()"
        assert (
            subprocess.run(
                [sys.executable, "-W", "error", "-c", code], cwd=PROJECT, check=False
            ).returncode
            == 0
        )


def test_partners_are_networks_as_ready_as_the_first(tmp_path):
    rows = {row.role: row for row in CATALOG.group("upscale", "general_x4v3")}
    files = {}
    for role, row in rows.items():
        saved(NETS["Compact"](), tmp_path / row.file, "zip")
        files[role] = VerifiedFile(row, tmp_path / row.file, role, 1)
    model = load_model(Resolved(files.pop("net"), files, "general_x4v3"), torch.device("cpu"))
    assert model.partners.keys() == {"denoise_partner"}
    for net in (model.net, *model.partners.values()):
        assert isinstance(net, torch.nn.Module)
        assert not net.training
        assert not any(p.requires_grad for p in net.parameters())
    assert [facts["sha256"] for facts in model.weights] == ["net", "denoise_partner"]
