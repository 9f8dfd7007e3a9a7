"""The embedded inpainting network: its harmonic start, and what it must not look at."""

import pytest
import torch
import torch.nn.functional as F

from restore.nets.lite.inpaint import LiteInpaint, harmonic_fill


def hole_in(height: int, width: int) -> torch.Tensor:
    mask = torch.zeros(1, 1, height, width)
    mask[..., height // 3 : 2 * height // 3, width // 4 : 3 * width // 4] = 1.0
    return mask


def test_each_pixel_of_the_fill_is_the_mean_of_its_neighbours():
    torch.manual_seed(1)
    photo, mask = (
        F.interpolate(torch.rand(1, 3, 6, 7), size=(66, 71), mode="bilinear"),
        hole_in(66, 71),
    )
    filled = harmonic_fill(photo, mask)
    around = 0.25 * (
        filled[..., :-2, 1:-1]
        + filled[..., 2:, 1:-1]
        + filled[..., 1:-1, :-2]
        + filled[..., 1:-1, 2:]
    )
    residual = ((filled[..., 1:-1, 1:-1] - around) * mask[..., 1:-1, 1:-1]).abs()
    assert float(residual.max()) < 2e-3
    torch.testing.assert_close(filled * (1 - mask), photo * (1 - mask), rtol=0, atol=0)


@pytest.mark.parametrize("size", [(1, 1), (2, 40), (33, 64)], ids=str)
def test_a_ramp_runs_on_through_a_hole_and_odd_sizes_are_filled_too(size):
    height, width = size
    ramp = torch.linspace(0, 1, width).expand(1, 3, height, width).contiguous()
    mask = hole_in(height, width)
    torch.testing.assert_close(harmonic_fill(ramp, mask), ramp, rtol=0, atol=0.02)


def test_a_photo_that_is_all_hole_is_black():
    assert not harmonic_fill(torch.rand(1, 3, 20, 24), torch.ones(1, 1, 20, 24)).any()


def test_what_lies_in_the_hole_is_never_looked_at():
    torch.manual_seed(2)
    net, mask = LiteInpaint().eval(), hole_in(48, 56)
    torch.nn.init.normal_(net.tail.weight, std=0.1)
    photo = torch.rand(1, 3, 48, 56)
    other = torch.where(mask > 0, torch.rand(1, 3, 48, 56), photo)
    with torch.inference_mode():
        answers = [net(torch.cat([each, mask], 1)) for each in (photo, other)]
    torch.testing.assert_close(*answers, rtol=0, atol=0)
