"""The lite colorizer: self-ensemble, dropout during training, and odd sizes."""

import torch

from restore.nets.lite.colorize import LiteColorize


def test_self_ensemble_is_symmetric_and_training_uses_dropout_without_it() -> None:
    torch.manual_seed(1)
    net = LiteColorize()
    torch.nn.init.normal_(net.tail.weight, std=0.05)
    lightness = torch.rand(1, 1, 64, 96)
    with torch.no_grad():
        assert not torch.equal(net(lightness), net(lightness))
        net.eval()
        flipped = net(lightness.flip(-1)).flip(-1)
        torch.testing.assert_close(flipped, net(lightness), rtol=0, atol=1e-6)
        single = net._predict_ab(lightness)
        assert float((net(lightness) - single).abs().max()) > 1e-4


def test_odd_sizes_are_accepted() -> None:
    with torch.no_grad():
        assert LiteColorize().eval()(torch.rand(2, 1, 5, 3)).shape == (2, 2, 5, 3)
