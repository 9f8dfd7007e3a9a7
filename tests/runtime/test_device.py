"""Device selection and the runtime of a profile."""

import pytest
import torch

from restore.errors import Code, RestoreError
from restore.options import RuntimeProfile
from restore.runtime.device import Runtime, runtime_for, select_device


def test_argument_takes_precedence_over_environment() -> None:
    assert select_device("cpu", {"RESTORE_DEVICE": "nowhere"}) == torch.device("cpu")
    assert select_device(None, {"RESTORE_DEVICE": "cpu"}) == torch.device("cpu")
    assert select_device(None, {}).type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["nowhere", "cuda:99", "meta", "hpu"])
def test_unavailable_device_is_rejected_by_name(name: str) -> None:
    with pytest.raises(RestoreError, match=name) as caught:
        select_device(name, {})
    assert caught.value.code is Code.DEVICE


def test_baseline_is_float32_without_tf32() -> None:
    torch.backends.cudnn.allow_tf32 = True
    runtime = runtime_for("baseline", torch.device("cpu"))
    assert (runtime.dtype, runtime.precision) == (torch.float32, "float32")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


@pytest.mark.parametrize(
    ("profile", "device", "backend", "batches"),
    [
        ("baseline", "cuda", None, False),
        ("fast", "cuda", None, True),
        ("fast", "cuda", "inductor", False),
        ("fast", "cpu", None, False),
    ],
)
def test_tiles_are_batched_on_cuda_by_networks_of_any_shape(
    profile: RuntimeProfile, device: str, backend: str | None, batches: bool
) -> None:
    runtime = Runtime(torch.device(device), torch.float32, profile, compile_backend=backend)
    assert runtime.batches_tiles is batches
