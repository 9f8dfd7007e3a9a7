"""NAFNet on NHWC features, where Triton's kernels do not apply."""

import pytest
import torch
from spandrel.architectures.NAFNet import NAFNet

from restore.optimize.pixel_ops import TORCH_OPS, pixel_ops_for
from restore.optimize.triton_copies import triton_copy


@pytest.mark.parametrize("shape", [(1, 3, 22, 26), (2, 3, 16, 16)])
def test_nafnet_equals_the_library_on_a_cpu(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    net = NAFNet(width=16, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]).eval()
    for parameter in net.requires_grad_(requires_grad=False).parameters():
        if float(parameter.abs().max()) < 1e-3:
            parameter.normal_(std=0.1)
    photos = torch.rand(*shape)
    with torch.inference_mode():
        output = triton_copy(net, "NAFNet", torch.float32)(photos)
        torch.testing.assert_close(output, net(photos), rtol=0.0, atol=1e-5)


def test_torch_computes_what_is_not_on_cuda() -> None:
    assert pixel_ops_for(torch.zeros(1, dtype=torch.float16)) is TORCH_OPS


def test_architecture_without_kernels_is_refused() -> None:
    with pytest.raises(ValueError, match="no Triton kernels for 'LaMa'"):
        triton_copy(torch.nn.Identity(), "LaMa", torch.float16)
