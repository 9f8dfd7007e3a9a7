"""The lite network for faded colours: what its parameters do, and how its table is ordered."""

import torch
from torch import Tensor, nn

from restore.nets.lite.colors import (
    INPUT_PX,
    SIZES,
    TABLE_NODES,
    LiteColors,
    density_of,
    light_of,
    quantiles_of,
    values_of,
    views_of,
)

THUMBNAIL = torch.rand(2, 3, INPUT_PX, INPUT_PX, generator=torch.Generator().manual_seed(4))


def net_with(parameters: Tensor) -> LiteColors:
    """Return a network that predicts these parameters for every photo."""
    net = LiteColors().eval().requires_grad_(requires_grad=False)
    last = net.head[-1]
    assert isinstance(last, nn.Linear)
    last.bias.copy_(parameters)
    return net


def parameters_with(part: int, values: float) -> Tensor:
    parts = list(torch.zeros(sum(SIZES)).split(SIZES))
    parts[part] = torch.full_like(parts[part], values)
    return torch.cat(parts)


def test_untrained_network_predicts_the_identity_in_the_order_blue_green_red() -> None:
    table = net_with(torch.zeros(sum(SIZES)))(THUMBNAIL)
    assert table.shape == (2, 3, TABLE_NODES, TABLE_NODES, TABLE_NODES)
    steps = torch.linspace(0, 1, TABLE_NODES)
    for channel, axis in enumerate((3, 2, 1)):
        shape = [1, 1, 1, 1]
        shape[axis] = TABLE_NODES
        expected = steps.view(shape).expand(table[:, channel].shape)
        torch.testing.assert_close(table[:, channel], expected, rtol=0, atol=1e-5)


def test_black_point_becomes_black_and_white_point_white() -> None:
    grey = (0.3 + 0.4 * torch.linspace(0, 1, INPUT_PX)).view(1, 1, 1, -1)
    thumbnail = grey.expand(1, 3, INPUT_PX, INPUT_PX).contiguous()
    colours = torch.tensor([0.3, 0.7]).view(1, 1, 2).expand(1, 3, 2)
    black = net_with(parameters_with(0, 10.0)).correct(colours, thumbnail)
    assert black[..., 0].max() < 0.05
    white = net_with(parameters_with(1, 0.8)).correct(colours, thumbnail)  # 1.5 tanh(0.8) = 1
    torch.testing.assert_close(white[..., 1], torch.ones(1, 3), rtol=0, atol=0.02)


def test_densities_are_stretched_and_shifted() -> None:
    colours = torch.full((2, 3, 1), 0.5)
    darker = net_with(parameters_with(2, 0.5)).correct(colours, THUMBNAIL)
    expected = torch.exp(
        -torch.exp(1.4 * torch.tanh(torch.tensor(0.5))) * density_of(light_of(colours))
    )
    torch.testing.assert_close(light_of(darker), expected, rtol=0, atol=2e-3)
    shifted = net_with(parameters_with(4, -0.3)).correct(colours, THUMBNAIL)
    assert (shifted > 0.54).all()


def test_table_is_the_correction_at_its_nodes() -> None:
    generator = torch.Generator().manual_seed(5)
    net = net_with(0.3 * torch.randn(sum(SIZES), generator=generator))
    table = net(THUMBNAIL)
    blue, green, red = 4, 20, 31
    colours = torch.tensor([red, green, blue]).view(1, 3, 1).expand(2, 3, 1) / (TABLE_NODES - 1)
    corrected = net.correct(colours, THUMBNAIL)[..., 0]
    torch.testing.assert_close(table[:, :, blue, green, red], corrected, rtol=0, atol=1e-5)
    assert table.isfinite().all()


def test_views_are_the_thumbnail_its_corners_and_their_mirror_images() -> None:
    columns = torch.arange(INPUT_PX).expand(2, 3, INPUT_PX, -1).float()
    views = views_of(columns).unflatten(0, (10, 2))[:, 1, 0]
    torch.testing.assert_close(views[5:], views[:5].flip(-1))
    torch.testing.assert_close(views[0], columns[0, 0])
    spans = [(float(view[0, 0]), float(view[-1, -1])) for view in views[1:5]]
    assert spans == [(0, 53), (10, 63), (0, 53), (10, 63)]
    rows = views_of(columns.mT.contiguous()).unflatten(0, (10, 2))[:, 1, 0]
    assert [float(view[0, 0]) for view in rows[1:5]] == [0, 0, 10, 10]


def test_mirrored_photos_get_the_same_parameters_after_the_training() -> None:
    net = LiteColors()
    last = net.head[-1]
    assert isinstance(last, nn.Linear)
    nn.init.normal_(last.weight, std=0.3)
    colours = torch.full((2, 3, 1), 0.4)
    trained, evaluated = (
        net.train(mode).correct(colours, THUMBNAIL) - net.correct(colours, THUMBNAIL.flip(-1))
        for mode in (True, False)
    )
    assert trained.abs().max() > 1e-3
    torch.testing.assert_close(evaluated, torch.zeros_like(evaluated), rtol=0, atol=0.02)


def test_light_and_values_are_inverse() -> None:
    values = torch.linspace(0, 1, 101)
    torch.testing.assert_close(values_of(light_of(values)), values, rtol=0, atol=1e-5)


def test_quantiles_are_samples_in_rising_order() -> None:
    quantiles = quantiles_of(torch.arange(1001.0).flip(0).expand(2, 3, -1))
    assert quantiles[1, 2].tolist() == [10, 50, 250, 500, 750, 950, 990]
