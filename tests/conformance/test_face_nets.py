"""Face networks against the official code's raw outputs, loaded by their rows and called as the pipelines call them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from recipe import GOLDENS, rebuild

from restore.models.adapters import adapter_of_kind
from restore.models.adapters.base import FaceAdapter
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_net
from restore.optimize.compiler import Compiler
from restore.optimize.winograd import WinogradConv2d

VARIANTS = {"CodeFormer": "codeformer", "GFPGAN": "gfpgan_v1.4", "RestoreFormer": "restoreformer"}
# Of the largest value. Threads and instruction sets sum in other orders: 9e-6 was seen at most.
TOLERANCE = 2e-5
# Of optimized copies, which sum in other orders on purpose: a fortieth of a grey level.
OPTIMIZED_TOLERANCE = 1e-4
VIEWS = {"s4": np.s_[:, ::4, ::4], "crop": np.s_[:, 192:320, 192:320]}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Beside other work on the same cores, threads that wait for each other took forty times as long as one alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Loaded:
    """A network from a checkpoint in its official form, and what else than the image it answered last."""

    def __init__(self, name: str, folder: Path) -> None:
        path = folder / f"{name}.pth"
        torch.save(rebuild(name), path)
        self.name, self.row = name, Catalog.load().find("face_restore", VARIANTS[name])
        self.net = load_net(path, self.row)
        path.unlink()  # 300 MB, which pytest would keep for three runs; the mapping stays
        self.logits: torch.Tensor | None = None

    def optimize(self) -> None:
        """Goes on with the copy that requests of `stability_mode` optimized see on a CPU."""
        compiler = Compiler(torch.device("cpu"), {"RESTORE_COMPILE_BACKEND": "none"})
        self.net = compiler.optimize(Model(self.row, self.row.variant, self.net))[0].net
        assert any(isinstance(module, WinogradConv2d) for module in self.net.modules())

    def output(self, fidelity: float = 0.5) -> np.ndarray:
        """CHW in [-1, 1], not clamped."""
        with Image.open(GOLDENS / self.name / "input.png") as image:
            rgb = torch.from_numpy(np.array(image.convert("RGB")))
        face = (rgb.permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.5

        def keep(
            module: torch.nn.Module, given: object, answer: tuple[torch.Tensor, torch.Tensor]
        ) -> None:
            self.logits = answer[1]

        with torch.inference_mode(), self.net.register_forward_hook(keep):
            adapter = adapter_of_kind(self.name, FaceAdapter)
            return adapter.restore_faces(self.net, face, fidelity)[0].numpy()


@pytest.fixture(scope="module")
def codeformer(tmp_path_factory) -> Loaded:
    return Loaded("CodeFormer", tmp_path_factory.mktemp("codeformer"))


def assert_close(output: np.ndarray, name: str, golden: str, tolerance: float = TOLERANCE) -> None:
    expected = np.load(GOLDENS / name / f"{golden}.npy")
    seen = output[VIEWS[golden.rpartition("_")[2]]]
    assert seen.shape == expected.shape
    error = float(np.abs(seen - expected).max() / np.abs(expected).max())
    assert error <= tolerance, f"{golden}: {error:.1e} of the largest value"


@pytest.mark.parametrize(
    ("fidelity", "goldens"), [(0.0, ["w0_s4"]), (0.5, ["w0.5_s4", "w0.5_crop"]), (1.0, ["w1_s4"])]
)
def test_codeformer_at_every_fidelity(codeformer, fidelity, goldens):
    output = codeformer.output(fidelity)
    assert codeformer.logits is not None
    assert (
        codeformer.logits[0].argmax(dim=1).numpy() == np.load(GOLDENS / "CodeFormer" / "codes.npy")
    ).all()
    for golden in goldens:
        assert_close(output, "CodeFormer", f"output_{golden}")


def test_the_optimized_codeformer_chooses_the_same_codes(codeformer):
    codeformer.optimize()
    output = codeformer.output(0.5)
    assert codeformer.logits is not None
    assert (
        codeformer.logits[0].argmax(dim=1).numpy() == np.load(GOLDENS / "CodeFormer" / "codes.npy")
    ).all()
    assert_close(output, "CodeFormer", "output_w0.5_crop", OPTIMIZED_TOLERANCE)


@pytest.mark.parametrize("name", ["GFPGAN", "RestoreFormer"])
def test_a_face_network_computes_what_the_official_one_does(name, tmp_path):
    """GFPGAN's golden was made with the noise of the checkpoint: noise drawn anew would be far from it."""
    network = Loaded(name, tmp_path)
    output = network.output()
    assert_close(output, name, "output_s4")
    assert_close(output, name, "output_crop")
    network.optimize()
    assert_close(network.output(), name, "output_s4", OPTIMIZED_TOLERANCE)
