"""Face networks against the outputs of the official code."""

from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoints import (
    GOLDENS,
    load_official_file,
    one_thread,  # noqa: F401
    read_rgb,
    rebuild,
    relative_error,
)

from restore.models.adapters.base import FaceAdapter
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.optimize.compiler import Compiler
from restore.optimize.winograd import WinogradConv2d

VARIANTS = {"CodeFormer": "codeformer", "GFPGAN": "gfpgan_v1.4", "RestoreFormer": "restoreformer"}
# Relative to the largest value. The order of sums depends on threads and instruction sets: the
# largest error measured was 9e-6.
TOLERANCE = 2e-5
OPTIMIZED_TOLERANCE = 1e-4  # a fortieth of a grey level
VIEWS = {"s4": np.s_[:, ::4, ::4], "crop": np.s_[:, 192:320, 192:320]}


class FaceNetwork:
    """A face network loaded from the official file, which records CodeFormer's logits."""

    def __init__(self, name: str, folder: Path) -> None:
        row = Catalog.load().find("face_restore", VARIANTS[name])
        net = load_official_file(rebuild(name), folder / f"{name}.pth", row)
        self.name = name
        self.model = Model(row, row.variant, net)
        self.logits: torch.Tensor | None = None

    def optimize(self) -> None:
        """Replace the network by the copy that optimized requests use on a CPU."""
        compiler = Compiler(torch.device("cpu"), {"RESTORE_COMPILE_BACKEND": "none"})
        self.model, _ = compiler.optimize(self.model)
        assert any(isinstance(module, WinogradConv2d) for module in self.model.net.modules())

    def output(self, fidelity: float = 0.5) -> np.ndarray:
        """Return 3xHxW in [-1, 1], not clamped."""
        rgb = torch.from_numpy(read_rgb(GOLDENS / self.name / "input.png"))
        face = (rgb.permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5

        def record(
            module: torch.nn.Module, args: object, output: tuple[torch.Tensor, torch.Tensor]
        ) -> None:
            self.logits = output[1]

        adapter, net = self.model.adapter_of_kind(FaceAdapter), self.model.net
        with torch.inference_mode(), net.register_forward_hook(record):
            return adapter.restore_faces(net, face, fidelity)[0].numpy()

    def codes(self) -> np.ndarray:
        """Return CodeFormer's codes of the last output."""
        assert self.logits is not None
        return self.logits[0].argmax(dim=1).numpy()


@pytest.fixture(scope="module")
def codeformer(tmp_path_factory: pytest.TempPathFactory) -> FaceNetwork:
    return FaceNetwork("CodeFormer", tmp_path_factory.mktemp("codeformer"))


def error(output: np.ndarray, name: str, golden: str) -> float:
    view = VIEWS[golden.rpartition("_")[2]]
    return relative_error(output[view], np.load(GOLDENS / name / f"{golden}.npy"))


@pytest.mark.parametrize(
    ("fidelity", "goldens"),
    [
        pytest.param(0.0, ["w0_s4"], marks=pytest.mark.slow),
        (0.5, ["w0.5_s4", "w0.5_crop"]),
        pytest.param(1.0, ["w1_s4"], marks=pytest.mark.slow),
    ],
)
def test_codeformer_matches_at_every_fidelity(
    codeformer: FaceNetwork, fidelity: float, goldens: list[str]
) -> None:
    output = codeformer.output(fidelity)
    assert (codeformer.codes() == np.load(GOLDENS / "CodeFormer" / "codes.npy")).all()
    for golden in goldens:
        assert error(output, "CodeFormer", f"output_{golden}") <= TOLERANCE


def test_optimized_codeformer_chooses_the_same_codes(codeformer: FaceNetwork) -> None:
    codeformer.optimize()
    output = codeformer.output(0.5)
    assert (codeformer.codes() == np.load(GOLDENS / "CodeFormer" / "codes.npy")).all()
    assert error(output, "CodeFormer", "output_w0.5_crop") <= OPTIMIZED_TOLERANCE


@pytest.mark.parametrize("name", ["GFPGAN", "RestoreFormer"])
def test_face_network_matches_the_official_output(name: str, tmp_path: Path) -> None:
    """GFPGAN's golden was made with the noise of its checkpoint; random noise would differ."""
    output = FaceNetwork(name, tmp_path).output()
    assert error(output, name, "output_s4") <= TOLERANCE
    assert error(output, name, "output_crop") <= TOLERANCE


@pytest.mark.slow  # tests/nets/test_low_precision.py has small networks of both architectures
@pytest.mark.parametrize("name", ["GFPGAN", "RestoreFormer"])
def test_optimized_face_network_matches_the_official_output(name: str, tmp_path: Path) -> None:
    network = FaceNetwork(name, tmp_path)
    network.optimize()
    assert error(network.output(), name, "output_s4") <= OPTIMIZED_TOLERANCE
