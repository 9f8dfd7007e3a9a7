"""LiteUpscale: grain on top of the picture, sizes, and its output during training."""

import pytest
import torch

from restore.models.adapters.lite_upscale import new_lite_upscale
from restore.nets.lite.grain import SCALE
from restore.nets.lite.upscale import LiteUpscale


def random_photo(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    photo = 0.5 + 0.1 * torch.randn(1, 3, height, width, generator=generator)
    return (photo.clamp(0, 1) * 255).round() / 255


@pytest.fixture(scope="module")
def net() -> LiteUpscale:
    torch.manual_seed(3)
    return new_lite_upscale().eval().requires_grad_(requires_grad=False)


def test_grain_is_equal_in_all_channels(net: LiteUpscale) -> None:
    photo = random_photo(40, 44)
    grain = net(photo) - net.picture(photo)
    assert float(grain.std()) > 1e-4
    torch.testing.assert_close(grain[:, :1].expand(-1, 3, -1, -1), grain, rtol=0, atol=1e-6)


def test_flat_areas_have_no_grain(net: LiteUpscale) -> None:
    flat = torch.full((1, 3, 24, 24), 0.4)
    torch.testing.assert_close(net(flat), net.picture(flat))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)], ids=str)
def test_smallest_photos_are_upscaled(net: LiteUpscale, size: tuple[int, int]) -> None:
    assert net(torch.rand(1, 3, *size)).shape == (1, 3, SCALE * size[0], SCALE * size[1])


def test_training_output_is_the_picture_and_the_grain_strengths() -> None:
    torch.manual_seed(4)
    net, photo = new_lite_upscale(), random_photo(16, 16)
    output = net(photo)
    assert output.shape == (1, 6, 64, 64)
    torch.testing.assert_close(output[:, :3], net.picture(photo))


def test_training_output_is_the_picture_if_only_that_is_trained() -> None:
    net = new_lite_upscale()
    net.grain.requires_grad_(requires_grad=False)
    assert net(random_photo(16, 16)).shape == (1, 3, 64, 64)


def test_gradient_of_the_grain_does_not_reach_the_picture() -> None:
    torch.manual_seed(4)
    net = new_lite_upscale()
    net(random_photo(16, 16))[:, 3:].sum().backward()
    assert not any(
        parameter.grad is not None and parameter.grad.any()
        for parameter in net.picture.parameters()
    )
    assert all(
        parameter.grad is not None and parameter.grad.any() for parameter in net.grain.parameters()
    )
