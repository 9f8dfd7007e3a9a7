"""LiteInpaint: the harmonic fill, and independence from the pixels in the hole."""

import pytest
import torch
import torch.nn.functional as F

from restore.nets.lite.inpaint import LiteInpaint, fill_harmonically


def central_hole(height: int, width: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 3 : 2 * height // 3, width // 4 : 3 * width // 4] = 1.0
    return mask


def test_fill_is_the_mean_of_its_neighbours() -> None:
    torch.manual_seed(1)
    photo = F.interpolate(torch.rand(1, 3, 6, 7), size=(66, 71), mode="bilinear")
    mask = central_hole(66, 71)
    filled = fill_harmonically(photo, mask)
    vertical = filled[..., :-2, 1:-1] + filled[..., 2:, 1:-1]
    horizontal = filled[..., 1:-1, :-2] + filled[..., 1:-1, 2:]
    residual = filled[..., 1:-1, 1:-1] - 0.25 * (vertical + horizontal)
    assert float((residual * mask[..., 1:-1, 1:-1]).abs().max()) < 2e-3
    torch.testing.assert_close(filled * (1 - mask), photo * (1 - mask), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (33, 64)], ids=str)
def test_linear_ramp_is_continued_at_any_size(size: tuple[int, int]) -> None:
    height, width = size
    ramp = torch.linspace(0, 1, width).expand(1, 3, height, width).contiguous()
    filled = fill_harmonically(ramp, central_hole(height, width))
    torch.testing.assert_close(filled, ramp, rtol=0, atol=0.02)


def test_photo_that_is_all_hole_becomes_black() -> None:
    assert not fill_harmonically(torch.rand(1, 3, 20, 24), torch.ones(1, 1, 20, 24)).any()


def test_pixels_in_the_hole_are_ignored() -> None:
    torch.manual_seed(2)
    net, mask = LiteInpaint().eval(), central_hole(48, 56)
    torch.nn.init.normal_(net.tail.weight, std=0.1)
    photo = torch.rand(1, 3, 48, 56)
    changed = torch.where(mask > 0, torch.rand(1, 3, 48, 56), photo)
    with torch.inference_mode():
        outputs = [net(torch.cat([image, mask], 1)) for image in (photo, changed)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=0)
