"""Tests of reading state dicts: the layouts of official files, other objects, hostile pickles."""

import argparse
import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restore.models.checkpoint_file import read_state

FORMATS = ["zip", "legacy"]
WEIGHT = torch.arange(6.0).reshape(2, 3)
STATE = OrderedDict({"a.weight": WEIGHT, "a.bias": torch.zeros(2)})


class Scheduler:
    """A class of a training program, which the reader does not know."""

    def __init__(self) -> None:
        self.last = np.float64(0.5)
        self.path = PurePosixPath("runs/1")


class Options(dict[str, Any]):
    """A dictionary with a class of its own, as configuration libraries save them."""


def write(path: Path, content: object, file_format: str = "zip") -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=file_format == "zip")
    return path


def training_objects() -> dict[str, Any]:
    """What training frameworks save beside the tensors."""
    net = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "loss": np.float64(0.25),
        "step": np.int64(7),
        "curve": np.linspace(0, 1, 5),
        "rng": torch.get_rng_state(),
        "args": argparse.Namespace(lr=1e-4, names=["a"], folder=PurePosixPath("x")),
        "options": Options(batch=4),
        "counts": defaultdict(list, {"a": [1]}),
        "names": {"a", "b"},
        "optimizer": optimizer,
        "optimizer_state": optimizer.state_dict(),
        "scheduler": Scheduler(),
        "criterion": nn.L1Loss(),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
    }


def assert_is_state(state: dict[str, Tensor]) -> None:
    assert set(state) == set(STATE)
    for key, value in STATE.items():
        assert torch.equal(state[key], value)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"params": state},
        lambda state: {"params_ema": state},
        lambda state: {"params": {"other": torch.zeros(1)}, "params_ema": state},
        lambda state: {"state_dict": state},
        lambda state: {"model_state": state},
        lambda state: {"params": OrderedDict((f"module.{k}", v) for k, v in state.items())},
        lambda state: OrderedDict((f"module.{k}", v) for k, v in state.items()),
        lambda state: {"params": {k: nn.Parameter(v) for k, v in state.items()}},
    ],
    ids=[
        "bare",
        "params",
        "ema",
        "both",
        "state_dict",
        "model_state",
        "module",
        "top",
        "parameter",
    ],
)
def test_layouts_of_official_files(
    tmp_path: Path, wrap: Callable[[object], object], file_format: str
) -> None:
    assert_is_state(read_state(write(tmp_path / "net.pth", wrap(STATE), file_format)))


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("key", ["params_ema", "params", "state_dict", "model_state"])
def test_training_objects_beside_the_state_are_ignored(
    tmp_path: Path, key: str, file_format: str
) -> None:
    path = write(tmp_path / "net.pth", training_objects() | {key: STATE}, file_format)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert_is_state(read_state(path))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_protocols_of_pickle(tmp_path: Path, protocol: int) -> None:
    content = {"params": STATE, "args": argparse.Namespace(a=1)}
    torch.save(content, tmp_path / "net.pth", pickle_protocol=protocol)
    assert_is_state(read_state(tmp_path / "net.pth"))


@pytest.mark.parametrize("file_format", FORMATS)
def test_other_objects_in_the_state_are_left_out(tmp_path: Path, file_format: str) -> None:
    mixed = STATE | {"version": np.int64(2), "options": argparse.Namespace(), "size": [1, 2]}
    assert_is_state(read_state(write(tmp_path / "net.pth", {"params": mixed}, file_format)))


def test_tensors_of_a_file_with_other_objects_are_mapped(tmp_path: Path) -> None:
    path = write(tmp_path / "net.pth", {"params": STATE, "args": argparse.Namespace()})
    weight = read_state(path)["a.weight"]
    changed = path.read_bytes().replace(struct.pack("<f", 5.0), struct.pack("<f", 6.0))
    with path.open("r+b") as file:
        file.write(changed)
    assert weight[1, 2] == 6.0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_types_of_tensors(tmp_path: Path, dtype: torch.dtype) -> None:
    content = {"params": {"a": torch.ones(3, dtype=dtype).t()}, "args": argparse.Namespace()}
    state = read_state(write(tmp_path / "net.pth", content))
    assert state["a"].dtype == dtype
    assert state["a"].tolist() == [1, 1, 1]


class Call:
    """A pickle of it calls a function when it is loaded."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> Any:
        return self._call


HOSTILE: dict[str, object] = {
    "system": Call(os.system, "touch exploited"),
    "open": Call(open, "exploited", "w"),
    "eval": Call(eval, "open('exploited', 'w')"),
    "exec": Call(exec, "open('exploited', 'w')"),
    "import": Call(__import__, "exploiting"),
    "getattr": Call(getattr, Call(__import__, "os"), "system"),
    "torch.load": Call(torch.load, "other.pth"),
    "storage": Call(torch.UntypedStorage.from_file, "exploited", True, 10),
}


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_nothing_of_a_hostile_pickle_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, file_format: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exploiting.py").write_text("open('exploited', 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path / "net.pth", {"params": STATE, "more": HOSTILE[name]}, file_format)
    assert_is_state(read_state(path))
    assert not (tmp_path / "exploited").exists()
    with pytest.raises(ValueError, match="no tensors"):
        read_state(write(tmp_path / "only.pth", {"params": HOSTILE[name]}, file_format))
    assert not (tmp_path / "exploited").exists()


def with_pickle(path: Path, content: bytes) -> Path:
    """Write a checkpoint with this pickle and one storage of four float32."""
    write(path, {"a": torch.zeros(4)})
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w") as target:
        for name, data in members.items():
            target.writestr(name, content if name.endswith("data.pkl") else data)
    return path


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\x80\x02}.",
        b"\x80\x02cargparse\nNamespace\n)\x81.",  # an object instead of a dictionary
        b"\x80\x02" + REBUILD + b")R.",
        b"\x80\x02" + REBUILD + b"}(U\x0c__defaults__K\x01usb.",
        b"\x80\x02" + REBUILD + b"N}U\x0c__defaults__)s\x86b.",  # sets an attribute
        b"\x80\x02ccollections\nOrderedDict\nN}U\x04keysNs\x86b.",
        b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x8c\x06system\x93.",
        b"(S'touch exploited'\nios\nsystem\n.",
        b"\x80\x02U\x01aQ.",  # a persistent id that is no storage
        b"\x80\x02\x82\x01.",  # an extension that is not registered
        b"\x80\x02h\x05.",
    ],
)
def test_damaged_pickles_are_value_errors(tmp_path: Path, content: bytes) -> None:
    defaults = torch._utils._rebuild_tensor_v2.__defaults__
    path = with_pickle(tmp_path / "net.pth", content)
    with pytest.raises((ValueError, RuntimeError)):
        read_state(path)
    assert torch._utils._rebuild_tensor_v2.__defaults__ == defaults


def test_torchscript_program_is_not_loaded(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("net/constants.pkl", pickle.dumps((), 2))
        archive.writestr("net/data.pkl", pickle.dumps(Call(os.system, "touch exploited"), 2))
        archive.writestr("net/version", "3")
    (tmp_path / "net.pt").write_bytes(buffer.getvalue())
    with pytest.warns(UserWarning, match="TorchScript"), pytest.raises(RuntimeError):
        read_state(tmp_path / "net.pt")
