"""The old-photo networks: allowed sizes, spectral norms, strict loading, optimized copies."""

from pathlib import Path

import pytest
import torch

from restore.errors import Code, RestoreError
from restore.models.adapters import ADAPTERS, adapter_for
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import Model, load_net
from restore.nets.folding import fold_spectral_norms
from restore.nets.old_photo.faces import OldPhotoFaces, SpadeBlock
from restore.nets.old_photo.mapping import OldPhotoMapping
from restore.nets.old_photo.scratches import OldPhotoScratchDetector
from restore.nets.old_photo.vae import OldPhotoVae
from restore.optimize.compiler import Compiler

CATALOG = Catalog.load()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def row_of(architecture: str) -> Checkpoint:
    rows = CATALOG.for_task("old_photo_restore")
    return next(row for row in rows if row.architecture == architecture)


def new_net(architecture: str) -> torch.nn.Module:
    return adapter_for(architecture).create(row_of(architecture))


class TestSizes:
    @pytest.mark.parametrize("size", [(30, 32), (32, 33), (4, 32)])
    def test_vae_rejects_other_sizes(self, size: tuple[int, int]) -> None:
        with pytest.raises(ValueError, match="multiples of 4"):
            OldPhotoVae().encode(torch.zeros(1, 3, *size))

    def test_vae_accepts_the_smallest_photo(self) -> None:
        with torch.inference_mode():
            features = OldPhotoVae().encode(torch.zeros(1, 3, 8, 12))
            assert features.shape == (1, 64, 2, 3)
            assert OldPhotoVae().decode(features).shape == (1, 3, 8, 12)

    @pytest.mark.parametrize("size", [(40, 32), (32, 16)])
    def test_scratch_detector_rejects_other_sizes(self, size: tuple[int, int]) -> None:
        with pytest.raises(ValueError, match="multiples of 16"), torch.device("meta"):
            OldPhotoScratchDetector()(torch.zeros(1, 1, *size))

    def test_scratch_detector_accepts_the_smallest_photo(self) -> None:
        with torch.inference_mode(), torch.device("meta"):
            logits = OldPhotoScratchDetector().eval()(torch.zeros(1, 1, 32, 48))
        assert logits.shape == (1, 1, 32, 48)

    @pytest.mark.parametrize("side", [256, 512])
    def test_face_network_keeps_the_size(self, side: int) -> None:
        with torch.inference_mode(), torch.device("meta"):
            faces = OldPhotoFaces().eval()(torch.zeros(1, 3, side, side))
        assert faces.shape == (1, 3, side, side)

    def test_face_network_rejects_other_sizes(self) -> None:
        with pytest.raises(ValueError, match="multiples of 32"), torch.device("meta"):
            OldPhotoFaces().eval()(torch.zeros(1, 3, 250, 250))


def test_spectral_norms_are_folded_with_the_vectors_of_the_checkpoint() -> None:
    torch.manual_seed(0)
    block = SpadeBlock(8, 4)
    weight, u, v = (
        getattr(block.conv_0, f"weight_{part}").detach().clone() for part in ("orig", "u", "v")
    )
    with torch.no_grad():
        u += 0.01  # differs from the result of further power iterations, like trained vectors
        block.conv_0.get_buffer("weight_u").copy_(u)
        x, face = random(1, 8, 6, 6), random(1, 3, 12, 12)
        expected = block.eval()(x, face)
        assert fold_spectral_norms(block) is block
        torch.testing.assert_close(block.conv_0.weight, weight / (u @ weight.flatten(1) @ v))
        torch.testing.assert_close(block(x, face), expected)
    assert not any("weight_orig" in name or "weight_u" in name for name in block.state_dict())


class TestLoading:
    def test_every_row_has_an_adapter(self) -> None:
        rows = CATALOG.for_task("old_photo_restore")
        assert {row.architecture for row in rows} <= ADAPTERS.keys()

    @pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
    @pytest.mark.parametrize("architecture", ["OldPhotoVae", "OldPhotoMapping"])
    def test_file_with_other_keys_is_rejected(
        self, tmp_path: Path, architecture: str, fault: str
    ) -> None:
        state = {
            key: torch.empty(value.shape)
            for key, value in new_net(architecture).state_dict().items()
        }
        first = next(iter(state))
        if fault == "missing":
            del state[first]
        elif fault == "unexpected":
            state["kl.weight"] = torch.zeros(1)
        else:
            state[first] = torch.zeros(1)
        torch.save(state, tmp_path / "old.pth")
        with pytest.raises(RestoreError, match=r"old\.pth") as caught:
            load_net(tmp_path / "old.pth", row_of(architecture))
        assert caught.value.code is Code.WEIGHTS_UNSUPPORTED

    def test_training_state_in_the_file_of_the_detector_is_ignored(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        net = OldPhotoScratchDetector()
        optimizer = {
            "state": {0: {"step": 3, "exp_avg": torch.zeros(2)}},
            "param_groups": [{"lr": 1e-4, "params": [0]}],
        }
        checkpoint = {"epoch": 7, "model_state": net.state_dict(), "optimizer_state": optimizer}
        torch.save(checkpoint, tmp_path / "detector.pt")
        loaded = load_net(tmp_path / "detector.pt", row_of("OldPhotoScratchDetector"))
        assert not loaded.training
        state = loaded.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())

    def test_file_without_a_dictionary_is_rejected(self, tmp_path: Path) -> None:
        torch.save([torch.zeros(3)], tmp_path / "list.pth")
        with pytest.raises(RestoreError, match="list, not a state dict") as caught:
            load_net(tmp_path / "list.pth", row_of("OldPhotoVae"))
        assert caught.value.code is Code.WEIGHTS_UNSUPPORTED


def test_mapping_without_scratches_ignores_the_mask() -> None:
    torch.manual_seed(0)
    net, features = OldPhotoMapping().eval(), random(1, 64, 8, 8)
    with torch.inference_mode():
        assert torch.equal(net(features), net(features, torch.eye(32)[None, None]))


@pytest.mark.parametrize(
    "architecture", ["OldPhotoVae", "OldPhotoScratchMapping", "OldPhotoScratchDetector"]
)
def test_optimized_copy_gives_the_same_output(architecture: str) -> None:
    torch.manual_seed(0)
    net = new_net(architecture).eval()
    compiler = Compiler(torch.device("cpu"), {"RESTORE_COMPILE_BACKEND": "none"})
    optimized = compiler.optimize(Model(row_of(architecture), "scratch", net))[0].net
    photo, mask = torch.rand(1, 3, 64, 96) * 2 - 1, torch.zeros(1, 1, 64, 96)
    mask[..., 40:44] = 1
    inputs = {
        "OldPhotoVae": (photo,),
        "OldPhotoScratchMapping": (random(1, 64, 16, 24, seed=1), mask),
        "OldPhotoScratchDetector": (photo[:, :1],),
    }[architecture]
    with torch.inference_mode():
        expected, output = net(*inputs), optimized(*inputs)
    assert float((output - expected).abs().max() / expected.abs().max()) <= 1e-4
