"""Starting a network from a smaller or a different one: its output stays the same."""

import pytest
import torch
from spandrel.architectures.Compact import Compact
from spandrel.architectures.DRUNet import DRUNet
from torch import nn

from restore.nets.lite.inpaint import LiteInpaint
from restore.nets.lite.upscale import LiteUpscale
from training.recipe_inpaint import deepen_bottleneck
from training.recipe_upscale import resize_compact, start_lite_upscale
from training.registry import RECIPES
from training.weight_transfer import widen_weights


def new_lite_upscale(seed: int) -> LiteUpscale:
    torch.manual_seed(seed)
    net = RECIPES["upscale_real_x4"].build()
    assert isinstance(net, LiteUpscale)
    return net


def test_deeper_compact_starts_with_the_output_of_the_shallower() -> None:
    small, deep = RECIPES["upscale_x4"].build(), new_lite_upscale(1).picture
    assert resize_compact(deep, small.state_dict()) is deep
    photo = torch.rand(1, 3, 12, 9)
    with torch.no_grad():
        torch.testing.assert_close(deep(photo), small(photo), rtol=0, atol=1e-5)


def test_compact_of_another_scale_takes_over_all_but_the_last_convolution() -> None:
    state = RECIPES["upscale_x4"].build().state_dict()
    x2 = resize_compact(RECIPES["upscale_x2"].build(), state)
    with torch.no_grad():
        assert x2(torch.rand(1, 3, 12, 9)).shape == (1, 3, 24, 18)
    assert list(x2.state_dict())[-2:] == ["body.22.weight", "body.22.bias"]
    torch.testing.assert_close(x2.state_dict()["body.18.weight"], state["body.18.weight"])


def test_lite_upscale_starts_from_a_compact() -> None:
    torch.manual_seed(7)
    compact = Compact(num_feat=48, num_conv=3, upscale=4, act_type="prelu")
    net = start_lite_upscale(new_lite_upscale(1), compact.state_dict())
    assert isinstance(net, LiteUpscale)
    photo = torch.rand(1, 3, 12, 12)
    with torch.no_grad():
        torch.testing.assert_close(net.picture(photo), compact(photo), rtol=1e-4, atol=1e-5)


def test_lite_upscale_starts_from_its_own_weights() -> None:
    state = new_lite_upscale(1).state_dict()
    loaded = start_lite_upscale(new_lite_upscale(8), state).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in state.items())


def test_deeper_bottleneck_starts_with_the_output_of_the_shallower() -> None:
    deep, shallow = LiteInpaint(), LiteInpaint()
    state = {
        key: 0.05 * torch.randn_like(value)
        for key, value in deep.state_dict().items()
        if not key.startswith(("middle.5", "middle.6"))
    }
    assert isinstance(shallow.middle, nn.Sequential)
    shallow.middle = shallow.middle[:5]
    shallow.load_state_dict(state)
    photo = torch.rand(1, 4, 16, 32)
    with torch.no_grad():
        torch.testing.assert_close(deepen_bottleneck(deep, state)(photo), shallow(photo))


def test_deeper_bottleneck_rejects_other_missing_keys() -> None:
    state = LiteInpaint().state_dict()
    incomplete = {key: value for key, value in state.items() if not key.startswith("tail")}
    with pytest.raises(RuntimeError, match="fewer blocks"):
        deepen_bottleneck(LiteInpaint(), incomplete)


def test_wider_network_starts_with_the_output_of_the_narrower() -> None:
    narrow = DRUNet(in_nc=3, out_nc=3, nc=[8, 12, 16, 24], nb=1)
    wide = DRUNet(in_nc=3, out_nc=3, nc=[10, 16, 20, 24], nb=1)
    photo = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        output = widen_weights(wide, narrow.state_dict())(photo)
        torch.testing.assert_close(output, narrow(photo), rtol=0, atol=1e-5)
        # No output channel is all zeros, so that new channels can learn.
        weights = wide.state_dict().values()
        assert all(bool(weight.flatten(1).any(1).all()) for weight in weights)


def test_widening_adds_inputs_outputs_and_biases() -> None:
    narrow, wide = nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Sequential(nn.Conv2d(5, 6, 3))
    photo = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        widen_weights(wide, narrow.state_dict())
        output = wide(torch.cat([photo, photo[:, :2]], 1))
        torch.testing.assert_close(output[:, :4], narrow(photo))
    convolution = wide[0]
    assert isinstance(convolution, nn.Conv2d)
    assert bool(convolution.weight[4:, 3:].any())
