"""Calls of face networks: value ranges, input sizes, and detail finer than the input."""

from collections.abc import Iterator

import pytest
import torch

from restore.errors import Code, RestoreError
from restore.faces.network_calls import restore_faces
from restore.models.adapters import adapter_of_kind
from restore.models.adapters.base import FaceAdapter
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import Model
from restore.nets.lite.face import LiteFace

CATALOG = Catalog.load()


def row_of(variant: str) -> Checkpoint:
    return CATALOG.find("face_restore", variant)


def crops(count: int, seed: int = 1) -> torch.Tensor:
    """Return crops of noise, the hardest detail to keep."""
    return torch.rand(count, 3, 512, 512, generator=torch.Generator().manual_seed(seed))


def lite_face(tail: float) -> LiteFace:
    """Return a network with random weights; with `tail` 0 its output equals its input."""
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
def single_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield
    torch.set_num_threads(before)


class Recorder(torch.nn.Module):
    """Returns a fixed output, or a function of its input, and records the last call."""

    def __init__(self, output: object) -> None:
        super().__init__()
        self.output = output
        self.call: tuple[tuple[object, ...], dict[str, object]] = ((), {})

    def forward(self, *args: object, **options: object) -> object:
        self.call = (args, options)
        return self.output(args[0]) if callable(self.output) else self.output


class TestLite:
    def test_identity_network_keeps_all_detail(self) -> None:
        faces = crops(2)
        result = restore_faces(faces, Model(row_of("lite"), "lite", lite_face(0.0)), 0.5)
        torch.testing.assert_close(result, faces, rtol=0, atol=1e-6)

    def test_batch_equals_single_faces(self) -> None:
        faces, model = crops(8), Model(row_of("lite"), "lite", lite_face(0.05))
        batched = restore_faces(faces, model, 0.5)
        assert float((batched - faces).abs().mean()) > 0.001, "the network must change the faces"
        for index in (0, 3, 7):
            torch.testing.assert_close(
                batched[index],
                restore_faces(faces[index : index + 1], model, 0.5)[0],
                rtol=0,
                atol=1e-4,
            )

    def test_change_is_added_at_its_position_and_clamped(self) -> None:
        def brighten(faces: torch.Tensor) -> torch.Tensor:
            changed = faces.clone()
            changed[..., 100:156, :] += 0.25
            return changed

        faces = 0.3 + 0.3 * crops(1)
        faces[..., 256:] += 0.4  # here 0.25 more exceeds 1
        result = restore_faces(faces, Model(row_of("lite"), "lite", Recorder(brighten)), 0.5)
        change = result - faces
        torch.testing.assert_close(
            change[..., 212:300, 4:240], torch.full((1, 3, 88, 236), 0.25), rtol=0, atol=1e-5
        )
        assert float(change[..., :190, :].abs().max()) < 1e-6
        clamped = result[..., 212:300, 300:500]
        assert float(clamped.max()) == 1.0
        assert float((clamped - faces[..., 212:300, 300:500]).mean()) > 0.1

    def test_input_is_reduced_by_averaging(self) -> None:
        faces, net = crops(1), Recorder(lambda given: given)
        restore_faces(faces, Model(row_of("lite"), "lite", net), 0.5)
        torch.testing.assert_close(
            net.call[0][0], torch.nn.functional.avg_pool2d(faces, 2), rtol=0, atol=1e-6
        )


class TestOfficial:
    @pytest.mark.parametrize(
        "variant", ["codeformer", "gfpgan_v1.3", "gfpgan_v1.4", "restoreformer"]
    )
    def test_value_ranges_are_converted_and_clamped(self, variant: str) -> None:
        net = Recorder(lambda given: (given * 1.25, None))
        faces = crops(2)
        result = restore_faces(faces, Model(row_of(variant), variant, net), 0.5)
        given = net.call[0][0]
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
    def test_call_has_the_official_arguments(
        self, architecture: str, options: dict[str, object]
    ) -> None:
        output = torch.zeros(1, 3, 8, 8)
        net = Recorder((output, None))
        adapter = adapter_of_kind(architecture, FaceAdapter)
        assert adapter.restore_faces(net, torch.ones(1, 3, 8, 8), 0.3) is output
        assert net.call[1] == options

    def test_other_architecture_is_rejected(self) -> None:
        with pytest.raises(ValueError, match="ESRGAN"):
            adapter_of_kind("ESRGAN", FaceAdapter)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("variant", ["lite", "gfpgan_v1.4"])
def test_nan_and_infinity_are_an_error(variant: str, bad: float) -> None:
    def damage(given: torch.Tensor) -> object:
        output = given.clone()
        output[0, 1, 7, 9] = bad
        return output if variant == "lite" else (output, None)

    with pytest.raises(RestoreError, match=row_of(variant).file) as caught:
        restore_faces(crops(2), Model(row_of(variant), variant, Recorder(damage)), 0.5)
    assert caught.value.code is Code.BAD_NUMBERS
