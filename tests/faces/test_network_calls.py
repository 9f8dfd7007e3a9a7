"""Face networks behind one face: ranges, sizes, and that a small network costs a crop none of its detail."""

import pytest
import torch

from restore.errors import Code, RestoreError
from restore.faces.network_calls import raw_output, restored
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import Model
from restore.nets.lite.face import LiteFace

CATALOG = Catalog.load()


def row_of(variant: str) -> Checkpoint:
    return CATALOG.find("face_restore", variant)


def crops(count: int, seed: int = 1) -> torch.Tensor:
    """Noise down to the last pixel: the hardest detail to keep."""
    return torch.rand(count, 3, 512, 512, generator=torch.Generator().manual_seed(seed))


def made_net(tail: float) -> LiteFace:
    """A network by recipe; with a tail of 0 it changes nothing."""
    generator = torch.Generator().manual_seed(5)
    net = LiteFace()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            spread = (
                tail if name.startswith("tail") else (0.5 / max(1, parameter[0].numel()) ** 0.5)
            )
            parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return net.eval().requires_grad_(requires_grad=False)


@pytest.fixture(autouse=True)
def quiet():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


class Said(torch.nn.Module):
    """Answers with what a test says, and keeps what it was asked."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer
        self.given: tuple[tuple[object, ...], dict[str, object]] = ((), {})

    def forward(self, *args: object, **options: object) -> object:
        self.given = (args, options)
        return self.answer(args[0]) if callable(self.answer) else self.answer


class TestLite:
    def test_a_network_that_changes_nothing_costs_no_detail(self):
        faces = crops(2)
        result = restored(faces, Model(row_of("lite"), "lite", made_net(0.0)), 0.5)
        torch.testing.assert_close(result, faces, rtol=0, atol=1e-6)

    def test_eight_at_once_are_what_each_is_alone(self):
        faces, model = crops(8), Model(row_of("lite"), "lite", made_net(0.05))
        together = restored(faces, model, 0.5)
        assert float((together - faces).abs().mean()) > 0.001, "this network is to change something"
        for index in (0, 3, 7):
            torch.testing.assert_close(
                together[index],
                restored(faces[index : index + 1], model, 0.5)[0],
                rtol=0,
                atol=1e-4,
            )

    def test_a_change_is_added_at_its_place_and_clamped(self):
        def lighter(faces: torch.Tensor) -> torch.Tensor:
            changed = faces.clone()
            changed[..., 100:156, :] += 0.25
            return changed

        faces = 0.3 + 0.3 * crops(1)
        faces[..., 256:] += 0.4  # to the right, 0.25 more would be beyond 1
        result = restored(faces, Model(row_of("lite"), "lite", Said(lighter)), 0.5)
        change = result - faces
        torch.testing.assert_close(
            change[..., 212:300, 4:240], torch.full((1, 3, 88, 236), 0.25), rtol=0, atol=1e-5
        )
        assert float(change[..., :190, :].abs().max()) < 1e-6
        clamped = result[..., 212:300, 300:500]
        assert float(clamped.max()) == 1.0
        assert float((clamped - faces[..., 212:300, 300:500]).mean()) > 0.1

    def test_the_network_sees_averages_of_four_pixels(self):
        faces, net = crops(1), Said(lambda given: given)
        restored(faces, Model(row_of("lite"), "lite", net), 0.5)
        torch.testing.assert_close(
            net.given[0][0], torch.nn.functional.avg_pool2d(faces, 2), rtol=0, atol=1e-6
        )


class TestOfficial:
    @pytest.mark.parametrize(
        "variant", ["codeformer", "gfpgan_v1.3", "gfpgan_v1.4", "restoreformer"]
    )
    def test_ranges_go_both_ways_and_what_is_beyond_is_cut(self, variant):
        net = Said(lambda given: (given * 1.25, None))
        faces = crops(2)
        result = restored(faces, Model(row_of(variant), variant, net), 0.5)
        given = net.given[0][0]
        torch.testing.assert_close(given, (faces - 0.5) / 0.5, rtol=0, atol=1e-6)
        torch.testing.assert_close(
            result, ((faces - 0.5) * 1.25 + 0.5).clamp(0, 1), rtol=0, atol=1e-6
        )

    @pytest.mark.parametrize(
        ("architecture", "options"),
        [
            ("CodeFormer", {"weight": 0.3}),
            ("GFPGAN", {"return_rgb": False, "randomize_noise": False}),
            ("RestoreFormer", {}),
        ],
    )
    def test_each_is_called_as_its_authors_call_it(self, architecture, options):
        answer, net = torch.zeros(1, 3, 8, 8), Said((torch.zeros(1, 3, 8, 8), None))
        net.answer = (answer, None)
        assert raw_output(net, architecture, torch.ones(1, 3, 8, 8), 0.3) is answer
        assert net.given[1] == options

    def test_another_architecture_is_refused(self):
        with pytest.raises(ValueError, match="ESRGAN"):
            raw_output(torch.nn.Identity(), "ESRGAN", torch.zeros(1, 3, 8, 8), 0.5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("variant", ["lite", "gfpgan_v1.4"])
def test_numbers_that_are_none_are_an_error(variant, bad):
    def spoilt(given: torch.Tensor) -> object:
        output = given.clone()
        output[0, 1, 7, 9] = bad
        return output if variant == "lite" else (output, None)

    with pytest.raises(RestoreError, match=row_of(variant).file) as caught:
        restored(crops(2), Model(row_of(variant), variant, Said(spoilt)), 0.5)
    assert caught.value.code is Code.BAD_NUMBERS
