"""Local average pooling, compared with its definition, and its use in NAFNet."""

import copy

import pytest
import torch
from spandrel.architectures.NAFNet import NAFNet
from torch import nn

from restore.nets.local_pooling import LocalAveragePool2d, use_local_pooling


def pool_by_definition(features: torch.Tensor, kernel_px: int) -> torch.Tensor:
    """Average, position by position, over the window around it, shifted to lie within the map."""
    height, width = features.shape[-2:]
    result = torch.empty(features.shape, dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            rows, columns = (
                window_around(position, side, kernel_px)
                for position, side in ((y, height), (x, width))
            )
            result[..., y, x] = features[..., rows, columns].double().mean((-2, -1))
    return result


def window_around(position: int, side: int, kernel_px: int) -> slice:
    kernel = min(kernel_px, side)
    start = min(max(position - (kernel - 1) // 2, 0), side - kernel)
    return slice(start, start + kernel)


@pytest.mark.parametrize("size", [(9, 14), (14, 9), (6, 15), (15, 6), (7, 7), (8, 5), (3, 20)])
@pytest.mark.parametrize("kernel_px", [1, 4, 6, 7])
def test_output_is_the_mean_of_a_window(size: tuple[int, int], kernel_px: int) -> None:
    features = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    pooled = LocalAveragePool2d(kernel_px)(features)
    expected = pool_by_definition(features, kernel_px)
    torch.testing.assert_close(pooled.expand_as(features).double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(5, 8), (8, 8)])
def test_map_smaller_than_the_window_is_averaged_globally(size: tuple[int, int]) -> None:
    features = torch.randn(1, 4, *size)
    pooled = LocalAveragePool2d(8)(features)
    assert torch.equal(pooled, nn.AdaptiveAvgPool2d(1)(features))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_large_offset_on_a_large_map_does_not_reduce_accuracy(dtype: torch.dtype) -> None:
    noise = torch.randn(1, 1, 150, 900, generator=torch.Generator().manual_seed(0))
    features = (100 + noise).to(dtype)
    pooled = LocalAveragePool2d(96)(features)
    assert pooled.dtype == dtype
    expected = nn.functional.avg_pool2d(features.double(), 96, stride=1)
    inner = pooled[..., 47 : 47 + expected.shape[-2], 47 : 47 + expected.shape[-1]].double()
    rounding = {torch.float16: 2**-4, torch.bfloat16: 2**-1, torch.float32: 2e-4}[dtype]
    assert float((inner - expected).abs().max()) <= rounding


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(2, 2, 1))


class NafnetStages(nn.Module):
    """The stages of a NAFNet with two levels."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList([nn.Sequential(Block()), nn.Sequential(Block(), Block())])
        self.middle_blks = nn.Sequential(Block())
        self.decoders = nn.ModuleList([nn.Sequential(Block()), nn.Sequential(Block())])


def test_window_is_halved_at_each_level_and_parameters_keep_their_names() -> None:
    net = NafnetStages()
    names = list(net.state_dict())
    assert use_local_pooling(net, 384) is net
    windows = {
        name: module.kernel_px
        for name, module in net.named_modules()
        if isinstance(module, LocalAveragePool2d)
    }
    assert windows == {
        "encoders.0.0.sca.0": 384,
        "encoders.1.0.sca.0": 192,
        "encoders.1.1.sca.0": 192,
        "middle_blks.0.sca.0": 96,
        "decoders.0.0.sca.0": 192,
        "decoders.1.0.sca.0": 384,
    }
    assert list(net.state_dict()) == names


def test_nafnet_output_changes_only_for_photos_larger_than_the_window() -> None:
    torch.manual_seed(0)
    net = NAFNet(width=8, enc_blk_nums=[1, 1], middle_blk_num=1, dec_blk_nums=[1, 1]).eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    photo = torch.rand(1, 3, 40, 36) * torch.linspace(0, 1, 40)[:, None]
    with torch.inference_mode():
        unchanged = net(photo)
        wide = use_local_pooling(copy.deepcopy(net), 40)(photo)
        narrow = use_local_pooling(net, 16)(photo)
    assert torch.equal(wide, unchanged)
    assert (narrow - unchanged).abs().max() > 0.01 * unchanged.abs().max()


@pytest.mark.parametrize(
    ("net", "kernel_px", "message"),
    [
        (nn.Sequential(nn.AdaptiveAvgPool2d(1)), 384, "no encoders"),
        (NafnetStages(), 3, "below one position"),
    ],
)
def test_unsuitable_network_or_window_is_rejected(
    net: nn.Module, kernel_px: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        use_local_pooling(net, kernel_px)


def test_network_without_global_averages_is_rejected() -> None:
    net = use_local_pooling(NafnetStages(), 384)
    with pytest.raises(ValueError, match="no global average"):
        use_local_pooling(net, 384)
