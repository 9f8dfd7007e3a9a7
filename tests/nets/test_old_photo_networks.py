"""The old-photo networks as wholes: the sizes they take, their spectral norms, strict loading by their rows."""

import pytest
import torch

from restore.errors import Code, RestoreError
from restore.models.architectures import BUILDERS
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_net
from restore.nets.old_photo.faces import OldPhotoFaces, SpadeBlock, fold_spectral_norms
from restore.nets.old_photo.mapping import MaskedNonLocal, OldPhotoMapping
from restore.nets.old_photo.scratches import OldPhotoScratchDetector
from restore.nets.old_photo.vae import OldPhotoVae
from restore.optimize.compiler import Compiler

CATALOG = Catalog.load()


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestSizes:
    @pytest.mark.parametrize("size", [(30, 32), (32, 33), (4, 32)])
    def test_encoder(self, size):
        with pytest.raises(ValueError, match="multiples of 4"):
            OldPhotoVae().encode(torch.zeros(1, 3, *size))

    def test_the_smallest_photo_there_and_back(self):
        with torch.inference_mode():
            features = OldPhotoVae().encode(torch.zeros(1, 3, 8, 12))
            assert features.shape == (1, 64, 2, 3)
            assert OldPhotoVae().decode(features).shape == (1, 3, 8, 12)

    @pytest.mark.parametrize("size", [(40, 32), (32, 16)])
    def test_scratch_detector(self, size):
        with pytest.raises(ValueError, match="multiples of 16"), torch.device("meta"):
            OldPhotoScratchDetector()(torch.zeros(1, 1, *size))

    def test_the_smallest_photo_in_search_of_scratches(self):
        with torch.inference_mode(), torch.device("meta"):
            assert OldPhotoScratchDetector().eval()(torch.zeros(1, 1, 32, 48)).shape == (
                1,
                1,
                32,
                48,
            )

    def test_faces(self):
        with torch.inference_mode(), torch.device("meta"):
            net = OldPhotoFaces().eval()
            assert [net(torch.zeros(1, 3, side, side)).shape[-1] for side in (256, 512)] == [
                256,
                512,
            ]
            with pytest.raises(ValueError, match="multiples of 32"):
                net(torch.zeros(1, 3, 250, 250))


def test_spectral_norms_are_folded_by_the_vectors_of_the_checkpoint():
    torch.manual_seed(0)
    block = SpadeBlock(8, 4)
    weight, u, v = (
        getattr(block.conv_0, f"weight_{part}").detach().clone() for part in ("orig", "u", "v")
    )
    with torch.no_grad():
        u += 0.01  # as trained vectors are: not what a few more steps of iteration would give
        block.conv_0.weight_u.copy_(u)
        x, face = random(1, 8, 6, 6), random(1, 3, 12, 12)
        before = block.eval()(x, face)
        assert fold_spectral_norms(block) is block
        torch.testing.assert_close(block.conv_0.weight, weight / (u @ weight.flatten(1) @ v))
        torch.testing.assert_close(block(x, face), before)
    assert not any("weight_orig" in name or "weight_u" in name for name in block.state_dict())


def row_of(architecture: str):
    return next(
        row for row in CATALOG.for_task("old_photo_restore") if row.architecture == architecture
    )


class TestLoading:
    def test_every_row_has_a_network(self):
        assert {
            row.architecture for row in CATALOG.for_task("old_photo_restore")
        } <= BUILDERS.keys()

    @pytest.mark.parametrize("fault", ["missing", "more", "shape"])
    @pytest.mark.parametrize("architecture", ["OldPhotoVae", "OldPhotoMapping"])
    def test_a_file_that_does_not_fit_is_refused(self, tmp_path, architecture, fault):
        state = {
            key: torch.empty(value.shape)
            for key, value in BUILDERS[architecture]().state_dict().items()
        }
        first = next(iter(state))
        if fault == "missing":
            del state[first]
        elif fault == "more":
            state["kl.weight"] = torch.zeros(1)
        else:
            state[first] = torch.zeros(1)
        torch.save(state, tmp_path / "old.pth")
        with pytest.raises(RestoreError, match=r"old\.pth") as caught:
            load_net(tmp_path / "old.pth", row_of(architecture))
        assert caught.value.code is Code.WEIGHTS_UNSUPPORTED

    def test_the_detectors_file_holds_its_training_too(self, tmp_path):
        torch.manual_seed(0)
        net = OldPhotoScratchDetector()
        optimiser = {
            "state": {0: {"step": 3, "exp_avg": torch.zeros(2)}},
            "param_groups": [{"lr": 1e-4, "params": [0]}],
        }
        torch.save(
            {"epoch": 7, "model_state": net.state_dict(), "optimizer_state": optimiser},
            tmp_path / "d.pt",
        )
        loaded = load_net(tmp_path / "d.pt", row_of("OldPhotoScratchDetector"))
        assert not loaded.training
        state = loaded.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())

    def test_a_file_of_something_else_than_a_dictionary_is_refused(self, tmp_path):
        torch.save([torch.zeros(3)], tmp_path / "list.pth")
        with pytest.raises(RestoreError, match="no state dict but a list") as caught:
            load_net(tmp_path / "list.pth", row_of("OldPhotoVae"))
        assert caught.value.code is Code.WEIGHTS_UNSUPPORTED


def test_the_same_features_give_the_same_answer():
    torch.manual_seed(0)
    plain, filling = OldPhotoMapping().eval(), MaskedNonLocal(64, 10_000)
    features, holes = random(1, 64, 8, 8), torch.eye(32)[None, None]
    with torch.inference_mode():
        assert torch.equal(plain(features), plain(features, holes))
        assert torch.equal(filling(features, holes), filling(features, holes))


@pytest.mark.parametrize(
    "architecture", ["OldPhotoVae", "OldPhotoScratchMapping", "OldPhotoScratchDetector"]
)
def test_an_optimized_copy_computes_the_same(architecture):
    torch.manual_seed(0)
    net = BUILDERS[architecture]().eval()
    compiler = Compiler(torch.device("cpu"), {"RESTORE_COMPILE_BACKEND": "none"})
    optimized = compiler.optimized(Model(row_of(architecture), "scratch", net))[0].net
    photo, holes = torch.rand(1, 3, 64, 96) * 2 - 1, torch.zeros(1, 1, 64, 96)
    holes[..., 40:44] = 1
    calls = {
        "OldPhotoVae": lambda it: it.decode(it.encode(photo)),
        "OldPhotoScratchMapping": lambda it: it(
            torch.rand(1, 64, 16, 24, generator=torch.Generator().manual_seed(1)), holes
        ),
        "OldPhotoScratchDetector": lambda it: it(photo[:, :1]),
    }
    with torch.inference_mode():
        expected, result = calls[architecture](net), calls[architecture](optimized)
    assert float((result - expected).abs().max() / expected.abs().max()) <= 1e-4
