"""CenterFace against OpenCV's run of the ONNX file that it was converted from."""

import numpy as np
import pytest
import torch
from PIL import Image
from places import PROJECT
from torch import nn

from restore.models.catalog import Catalog
from restore.models.loader import load_net
from restore.nets.centerface import CROP_PX, HAS_ONEDNN, CenterFace, can_fuse

ROW = Catalog.load().find("face_detect", "centerface")
GOLDEN = PROJECT / "tests" / "conformance" / "goldens" / "CenterFace"
# The weights are rounded to float16. Measured: 0.0012 (score), 0.0076 (logarithm of the sides),
# 0.0014 (offset), 0.0023 (landmarks); with float32 weights, 1.4e-6.
TOLERANCES = np.array([0.002, *[0.01] * 2, *[0.003] * 2, *[0.004] * 10])[:, None, None]


def test_output_matches_that_of_opencv() -> None:
    net = load_net(PROJECT / "weights" / "lite" / ROW.file, ROW)
    with Image.open(GOLDEN / "input.png") as image:
        levels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        output = net(levels)[0]
        output[0] = torch.sigmoid(output[0])
    assert (np.abs(output.numpy() - np.load(GOLDEN / "output.npy")) < TOLERANCES).all()


@pytest.mark.skipif(not HAS_ONEDNN, reason="torch was built without oneDNN")
def test_fused_operations_match_separate_ones() -> None:
    net = load_net(PROJECT / "weights" / "lite" / ROW.file, ROW)
    levels = 255 * torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(3))
    with torch.enable_grad():
        assert not can_fuse(levels)
        separate = net(levels).detach()
    with torch.inference_mode():
        assert can_fuse(levels)
        fused = net(levels)
    assert (fused - separate).abs().max() < 1e-5 * separate.abs().max()


def test_batch_norms_are_folded() -> None:
    assert not [layer for layer in CenterFace().modules() if isinstance(layer, nn.BatchNorm2d)]


def test_crops_give_the_output_of_photos_and_landmarks() -> None:
    net = load_net(PROJECT / "weights" / "lite" / ROW.file, ROW)
    assert isinstance(net, CenterFace)
    crops = 255 * torch.rand(2, 3, CROP_PX, CROP_PX, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        outputs, deviations = net.in_crops(crops)
        assert torch.equal(outputs, net(crops))
        again = net.in_crops(crops[1:])[1]
    assert deviations.shape == (2, 5, 2)
    assert (deviations[0] - deviations[1]).abs().max() > 1e-4
    torch.testing.assert_close(again[0], deviations[1], rtol=0, atol=1e-4)
