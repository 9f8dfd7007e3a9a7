"""Networks in this project's forwards: in float32 as the library answers, below it near enough."""

import copy
import math
import warnings

import pytest
import torch
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.GFPGAN.__arch.gfpganv1_clean_arch import GFPGANv1Clean
from spandrel.architectures.GFPGAN.__arch.stylegan2_clean_arch import ModulatedConv2d
from spandrel.architectures.LaMa import LaMa
from spandrel.architectures.NAFNet import NAFNet
from spandrel.architectures.RestoreFormer import RestoreFormer
from torch import nn
from torch.nn import functional as F

from restore.compilation import feature_modulated
from restore.nets.lite_face import LiteFace
from restore.optimize.faces import Fusion, NormedModulatedConv2d, adapted
from restore.optimize.parts import Float32, GroupNormSwish, converted
from restore.optimize.precision import lowered, with_kernels

FEWEST_DB = 38.0


def awake(build):
    """A network of seeded weights, none of which is zero."""
    torch.manual_seed(0)
    net = build().eval().requires_grad_(requires_grad=False)
    for parameter in net.parameters():
        if float(parameter.abs().max()) < 1e-3:
            parameter.normal_(std=0.1)
    return net


def psnr_db(found, expected):
    span = float(expected.max() - expected.min())
    return 10 * math.log10(span**2 / max(float((found - expected).square().mean()), 1e-20))


def restoreformer():
    return RestoreFormer(ch=32, ch_mult=(1, 1, 2), resolution=64, num_res_blocks=1)


def ddcolor():
    from benchmarks.networks import by_recipe, networks  # noqa: PLC0415 - slow, and for one test

    return by_recipe(networks(["ddcolor-paper-tiny"])[0].row)


CASES = {
    "ESRGAN": (lambda: ESRGAN(num_blocks=1, scale=4), lambda net, x: net(x), (1, 3, 12, 18)),
    "NAFNet": (lambda: NAFNet(width=16, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]), lambda net, x: net(x), (2, 3, 22, 26)),
    "GFPGAN": (
        lambda: GFPGANv1Clean(out_size=32, narrow=0.25),
        lambda net, x: net(x, return_rgb=False, randomize_noise=False)[0],
        (2, 3, 32, 32),
    ),
    "RestoreFormer": (restoreformer, lambda net, x: net(x)[0], (1, 3, 64, 64)),
    "DDColor": (ddcolor, lambda net, x: net(x), (1, 3, 64, 64)),
    "LiteFace": (LiteFace, lambda net, x: net(x), (1, 3, 256, 256)),
}


@pytest.mark.parametrize("architecture", CASES)
def test_a_copy_answers_as_the_library_and_leaves_it_alone(architecture):
    build, call, shape = CASES[architecture]
    net = awake(build)
    x = torch.rand(*shape)
    with torch.inference_mode():
        expected = call(net, x)
        found = lowered(net, architecture, torch.float32)(x)
        rough = lowered(net, architecture, torch.bfloat16)(x)
        again = call(net, x)
    found, rough = (each[0] if isinstance(each, tuple) else each for each in (found, rough))
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-4 * float(expected.abs().max()))
    assert rough.dtype == torch.float32
    if architecture != "RestoreFormer":  # where a code may be another; its own test is below
        assert psnr_db(rough, expected) >= FEWEST_DB
    assert torch.equal(again, expected)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["GFPGAN", "RestoreFormer", "DDColor"])
def test_a_compiler_sees_one_program(architecture):
    build, _, shape = CASES[architecture]
    copied, x = lowered(awake(build), architecture, torch.float32), torch.rand(*shape)
    torch.compiler.reset()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        traced = torch.compile(copied, backend="eager", fullgraph=True, dynamic=False)(x)
        found = copied(x)
    pairs = zip(traced if isinstance(traced, tuple) else [traced], found if isinstance(found, tuple) else [found], strict=True)
    assert all(psnr_db(one.float(), other.float()) >= FEWEST_DB for one, other in list(pairs)[:1])


def test_lama_fills_holes_as_the_library():
    net = awake(lambda: LaMa(in_nc=4, out_nc=3))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # as trained ones, which change what passes
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
            module.bias.normal_(std=0.1)
    photo, holes = torch.rand(1, 3, 48, 64), torch.ones(1, 1, 48, 64)
    with torch.inference_mode():
        expected = net(photo, holes)
        found, rough = (lowered(net, "LaMa", dtype)(photo, holes) for dtype in (torch.float32, torch.bfloat16))
    assert float(expected.std()) > 1e-4
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-3 * float(expected.max() - expected.min()))
    assert psnr_db(rough, expected) >= FEWEST_DB


def test_codes_are_the_librarys():
    net = awake(restoreformer)
    faces = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        _, _, info, _ = net.encode(faces)
        copied = lowered(net, "RestoreFormer", torch.bfloat16, torch.float32)
        rough, numbers = copied(faces)
        expected = net(faces)[0]
        assert torch.equal(numbers.flatten(), info[2].flatten())
        assert psnr_db(rough, expected) >= FEWEST_DB
        forced = copied(faces, torch.zeros_like(numbers))[0]
    assert psnr_db(forced, expected) < FEWEST_DB


@pytest.fixture(scope="module")
def codeformer():
    """The library's network with few channels, as it has no smaller input."""
    library = pytest.importorskip("spandrel_extra_arches.architectures.CodeFormer.__arch.codeformer")

    def build():
        net = library.CodeFormer(n_layers=1)
        net.encoder = library.Encoder(3, 32, 256, [1] * 6, 1, 512, [16])
        net.generator = library.Generator(32, [1] * 6, 1, 512, [16], 256)
        net.connect_list = ["32"]
        net.fuse_encoder_block, net.fuse_generator_block = {"32": 9}, {"32": 7}
        net.fuse_convs_dict = nn.ModuleDict({"32": library.Fuse_sft_block(32, 32)})
        return net

    return awake(build)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_codeformer_answers_as_the_library(codeformer):
    faces = torch.rand(1, 3, 512, 512) * 2 - 1
    copied = lowered(codeformer, "CodeFormer", torch.float32)
    with torch.inference_mode():
        expected, logits = codeformer(faces, weight=0.7)
        found, chosen = copied(faces, torch.tensor(0.7))
        assert torch.equal(chosen.argmax(dim=2), logits.argmax(dim=2))
        torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-3 * float(expected.abs().max()))
        rough, near = lowered(codeformer, "CodeFormer", torch.bfloat16)(faces, 0.7, logits.argmax(dim=2))
    assert psnr_db(rough, expected) >= FEWEST_DB
    assert near.dtype == torch.float32


@pytest.mark.parametrize("fidelity", [0.0, 0.3, 1.0])
def test_a_fidelity_may_be_a_tensor(codeformer, fidelity):
    encoded, features = torch.randn(1, 32, 8, 8), torch.randn(1, 32, 8, 8)
    block = codeformer.fuse_convs_dict["32"]
    expected = block(encoded, features, fidelity) if fidelity else features  # the library leaves the block out then
    torch.testing.assert_close(Fusion(copy.deepcopy(block))(encoded, features, torch.tensor(fidelity)), expected)


def test_codes_are_looked_up_bit_for_bit(codeformer):
    numbers = torch.randint(0, 1024, (1, 256))
    expected = codeformer.quantize.get_codebook_feat(numbers, shape=[1, 16, 16, 256])
    found = F.embedding(numbers, codeformer.quantize.embedding.weight).view(1, 16, 16, 256).permute(0, 3, 1, 2)
    assert torch.equal(found, expected)


def test_adapted_features_have_the_others_mean_and_spread():
    library = pytest.importorskip("spandrel_extra_arches.architectures.CodeFormer.__arch.codeformer")
    content, style = torch.randn(2, 8, 16, 16), torch.randn(2, 8, 16, 16) * 3 + 1
    torch.testing.assert_close(adapted(content, style), library.adaptive_instance_normalization(content, style))


@pytest.mark.parametrize("demodulate", [True, False])
def test_a_modulated_convolution_in_half_precision_does_not_overflow(demodulate):
    torch.manual_seed(0)
    library = ModulatedConv2d(8, 6, 3, 16, demodulate=demodulate).requires_grad_(requires_grad=False)
    library.weight.mul_(30.0)
    features, style = torch.randn(2, 8, 9, 9) * 50, torch.randn(2, 16) * 400
    expected = library(features, style)
    plain = feature_modulated(copy.deepcopy(library))
    ours = converted(NormedModulatedConv2d(feature_modulated(copy.deepcopy(library))), torch.float16)
    assert not torch.isfinite(converted(plain, torch.float16)(features.half(), style.half())).all()
    found = ours(features.half(), style.half()).float()
    torch.testing.assert_close(found, expected, rtol=0.0, atol=5e-3 * float(expected.abs().max()))


def test_a_group_norm_by_channels_is_a_group_norm():
    norm = nn.GroupNorm(4, 16, eps=1e-6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 16, 7, 5) * 3 + 2
    with torch.no_grad():
        torch.testing.assert_close(GroupNormSwish(norm).by_channels(x), F.silu(norm(x)), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(GroupNormSwish(norm, swish=False).by_channels(x), norm(x), rtol=1e-4, atol=1e-5)


def test_what_stays_in_float32_keeps_all_its_bits():
    linear, other = nn.Linear(3, 3), nn.Linear(3, 3)
    weights = linear.weight.detach().clone()
    net = converted(nn.Sequential(Float32(linear), other), torch.bfloat16)
    assert torch.equal(net[0].module.weight, weights)
    assert net[1].weight.dtype == torch.bfloat16


def test_nafnet_on_kernels_answers_as_the_library_where_they_are_not():
    net = awake(CASES["NAFNet"][0])
    for photos in (torch.rand(1, 3, 22, 26), torch.rand(2, 3, 16, 16)):
        with torch.inference_mode():
            expected, found = net(photos), with_kernels(net, "NAFNet", torch.float32)(photos)
        torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-5)
