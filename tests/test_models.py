"""Loading: from the checkpoint's own keys, by assignment, without running code from the file."""

import pytest
import torch
from safetensors.torch import save_file
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DRUNet import DRUNet
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.NAFNet import NAFNet

from restore.errors import Code, RestoreError
from restore.models import interpolated, load_net, read_state

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

    monkeypatch.setattr("restore.models.read_state", remembering)
    net = load_net(tmp_path / "net.pth")
    pointers = [p.data_ptr() for p in net.parameters()]
    assert pointers
    assert all(pointer in held for pointer in pointers)


def test_half_precision_files_compute_in_float32(tmp_path):
    save_file({k: v.half() for k, v in NETS["Compact"]().state_dict().items()}, tmp_path / "net.safetensors")
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
