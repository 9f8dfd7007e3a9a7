"""The grain of the embedded upscaler: what it is made of, where there is none, and how its recipe measures what is lost."""

import pytest
import torch
import torch.nn.functional as F
from spandrel.architectures.Compact import Compact

from restore.nets.lite.upscale import SCALE, SHARES, LiteUpscale, bands, noise_of
from training.recipe_upscale import (
    TEXTURE_STRIDE_PX,
    deviations,
    grown,
    picture_and_grain_loss,
    with_grain_to_learn,
)


def photo_of(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """What a camera gives: smooth, with noise; in 8 bits."""
    generator = torch.Generator().manual_seed(seed)
    smooth = F.interpolate(
        torch.rand(1, 3, 6, 6, generator=generator), size=(height, width), mode="bilinear"
    )
    return (
        (smooth + 0.01 * torch.randn(1, 3, height, width, generator=generator)).clamp(0, 1) * 255
    ).round() / 255


@pytest.fixture(scope="module")
def net() -> LiteUpscale:
    torch.manual_seed(3)
    return LiteUpscale().eval().requires_grad_(requires_grad=False)


def test_the_noise_is_white_and_of_unit_variance():
    noise = noise_of(photo_of(96, 128))
    assert noise.shape == (1, 16, 96, 128)
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1.0) < 0.01
    plane = F.pixel_shuffle(noise, SCALE)[0, 0]
    for down, across in ((0, 1), (1, 0), (1, 1), (0, 4), (4, 0), (3, 2)):
        shifted = plane.roll((down, across), (0, 1))
        assert abs(float((plane * shifted).mean())) < 0.015  # six times what chance gives


def test_the_noise_of_a_part_is_that_part_of_the_noise():
    photo = photo_of(64, 64)
    inner = noise_of(photo[..., 8:48, 4:60])[..., 2:-2, 2:-2]
    torch.testing.assert_close(inner, noise_of(photo)[..., 10:46, 6:58], rtol=0, atol=0)


def test_eight_and_sixteen_bits_of_the_same_photo_have_the_same_noise():
    levels = (photo_of(32, 32) * 255).round()
    torch.testing.assert_close(
        noise_of(levels / 255), noise_of(levels * 257 / 65535), rtol=0, atol=0
    )


@pytest.mark.parametrize(("across", "down"), [(0, 0), (1, 0), (0, 1), (1, 1), (1, -1)])
def test_what_is_drawn_has_no_noise_which_would_be_streaks_there(across, down):
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    drawn = ((3 * (across * x + down * y)) % 256 / 255).expand(1, 3, 48, 48)
    assert not noise_of(drawn)[..., 4:-4, 4:-4].any()


def test_each_band_has_its_share_of_the_strength(net):
    noise = F.pad(noise_of(photo_of(128, 128)), (3,) * 4, mode="replicate")
    found = F.pixel_shuffle(F.conv2d(noise, net.filters), SCALE)
    torch.testing.assert_close(found.std(dim=(0, 2, 3)), torch.tensor(SHARES), rtol=0.03, atol=0)
    # The same as if the noise were filtered at its own resolution.
    direct = bands(F.pixel_shuffle(noise, SCALE))[..., 24:-24, 24:-24]
    for index in range(len(SHARES)):
        pair = torch.stack([direct[0, index].flatten(), found[0, index, 12:-12, 12:-12].flatten()])
        assert float(torch.corrcoef(pair)[0, 1]) > 0.9999


def test_grain_lies_on_the_picture_and_grey_stays_grey(net):
    photo = photo_of(40, 44)
    grain = net(photo) - net.picture(photo)
    assert float(grain.std()) > 1e-4
    torch.testing.assert_close(grain[:, :1].expand(-1, 3, -1, -1), grain, rtol=0, atol=1e-6)
    flat = torch.full((1, 3, 24, 24), 0.4)
    torch.testing.assert_close(net(flat), net.picture(flat))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2)], ids=str)
def test_the_smallest_photos_are_enlarged_too(net, size):
    assert net(torch.rand(1, 3, *size)).shape == (1, 3, SCALE * size[0], SCALE * size[1])


def test_while_it_trains_the_strengths_stand_beside_the_picture():
    torch.manual_seed(4)
    net, photo = LiteUpscale(), photo_of(16, 16)
    output = net(photo)
    assert output.shape == (1, 6, 64, 64)
    torch.testing.assert_close(output[:, :3], net.picture(photo))
    output[:, 3:].sum().backward()
    assert not any(
        parameter.grad is not None and parameter.grad.any()
        for parameter in net.picture.parameters()
    )
    assert all(parameter.grad.any() for parameter in net.grain.parameters())


def test_strength_is_measured_and_edges_do_not_count():
    noise = torch.randn(1, 1, 160, 160, generator=torch.Generator().manual_seed(5))
    photo = (0.5 + 0.04 * noise).expand(-1, 3, -1, -1).clone()
    found = deviations(photo).mean(dim=(2, 3))
    torch.testing.assert_close(found, 0.04 * bands(noise).std(dim=(2, 3)), rtol=0.1, atol=0)
    photo[..., 80:] += 0.3
    with_edge = deviations(photo).mean(dim=(2, 3))
    squares = [
        bands(picture[:, :1]).square().mean(dim=(2, 3)).sqrt()
        for picture in (photo, 0.5 + 0.04 * noise)
    ]
    assert float((with_edge / found).max()) < 1.5
    assert float((squares[0] / squares[1]).max()) > 2.0


def test_the_loss_asks_for_the_texture_that_the_picture_has_not():
    photo = photo_of(64, 64, seed=6)
    smooth = F.avg_pool2d(F.pad(photo, (3,) * 4, mode="replicate"), 7, 1)
    lost = (deviations(photo).square() - deviations(smooth).square()).clamp_min(0).sqrt()
    right = lost.repeat_interleave(TEXTURE_STRIDE_PX, 2).repeat_interleave(TEXTURE_STRIDE_PX, 3)
    losses = [
        float(picture_and_grain_loss(torch.cat([smooth, share * right], 1), photo, photo, 0.5))
        for share in (0.0, 0.5, 1.0, 2.0)
    ]
    assert losses[2] == min(losses)
    assert losses[0] > losses[1]


def test_it_begins_as_a_compact_and_later_as_itself():
    torch.manual_seed(7)
    shallow = Compact(num_feat=48, num_conv=3, upscale=4, act_type="prelu")
    photo = photo_of(12, 12)
    begun = with_grain_to_learn(LiteUpscale(), shallow.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(begun.picture(photo), shallow(photo), rtol=1e-4, atol=1e-5)
    torch.manual_seed(8)
    again = with_grain_to_learn(LiteUpscale(), begun.state_dict())
    assert all(
        torch.equal(value, again.state_dict()[key]) for key, value in begun.state_dict().items()
    )
    assert grown(again.picture, shallow.state_dict()) is again.picture
