"""Low-precision copies: equal to the library's network in float32, close to it in bfloat16."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from spandrel.architectures.ESRGAN import ESRGAN
from spandrel.architectures.GFPGAN.__arch.gfpganv1_clean_arch import GFPGANv1Clean
from spandrel.architectures.GFPGAN.__arch.stylegan2_clean_arch import ModulatedConv2d
from spandrel.architectures.LaMa import LaMa
from spandrel.architectures.NAFNet import NAFNet
from spandrel.architectures.RestoreFormer import RestoreFormer
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.networks import by_recipe, networks
from restore.models.adapters import adapter_for
from restore.models.adapters.gfpgan import feature_modulated
from restore.nets.lite.face import LiteFace
from restore.nets.low_precision.codeformer import Fusion, match_statistics
from restore.nets.low_precision.gfpgan import NormalizedModulatedConv2d
from restore.nets.low_precision.layers import Float32Module, GroupNormSwish, convert_floats
from restore.optimize.rewrite import rewritten_copy

MIN_PSNR_DB = 38.0


@dataclass(frozen=True)
class Example:
    """A small network of one architecture, how it is called, and the shape of its input."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...]
    call: Callable[[Any, Tensor], Tensor] = lambda net, x: net(x)


def nonzero_net(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network with seeded weights and draw those parameters that start at zero."""
    torch.manual_seed(0)
    net = build().eval().requires_grad_(requires_grad=False)
    for parameter in net.parameters():
        if float(parameter.abs().max()) < 1e-3:
            parameter.normal_(std=0.1)
    return net


def psnr_db(output: Tensor, expected: Tensor) -> float:
    span = float(expected.max() - expected.min())
    return 10 * math.log10(span**2 / max(float((output - expected).square().mean()), 1e-20))


def lowered(
    net: nn.Module,
    architecture: str,
    dtype: torch.dtype,
    encoder_dtype: torch.dtype | None = None,
) -> nn.Module:
    return adapter_for(architecture).low_precision_copy(net, dtype, encoder_dtype)


def first_tensor(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def small_restoreformer() -> nn.Module:
    return RestoreFormer(ch=32, ch_mult=(1, 1, 2), resolution=64, num_res_blocks=1)


def small_liteface() -> nn.Module:
    """LiteFace for 64 px instead of 256 px: only its map of places has a fixed size."""
    net = LiteFace()
    net.place = nn.Parameter(net.place[..., :4, :4])
    return net


def small_ddcolor() -> nn.Module:
    return by_recipe(networks(["ddcolor-paper-tiny"])[0].row)


EXAMPLES = {
    "ESRGAN": Example(lambda: ESRGAN(num_blocks=1, scale=4), (1, 3, 12, 18)),
    "NAFNet": Example(
        lambda: NAFNet(width=16, middle_blk_num=1, enc_blk_nums=[1, 1], dec_blk_nums=[1, 1]),
        (2, 3, 22, 26),
    ),
    "GFPGAN": Example(
        lambda: GFPGANv1Clean(out_size=32, narrow=0.25),
        (2, 3, 32, 32),
        lambda net, x: net(x, return_rgb=False, randomize_noise=False)[0],
    ),
    "RestoreFormer": Example(small_restoreformer, (1, 3, 64, 64), lambda net, x: net(x)[0]),
    "DDColor": Example(small_ddcolor, (1, 3, 64, 64)),
    "LiteFace": Example(small_liteface, (1, 3, 64, 64)),
}


@pytest.mark.parametrize("architecture", EXAMPLES)
def test_copy_equals_the_library_and_leaves_it_unchanged(architecture: str) -> None:
    example = EXAMPLES[architecture]
    net, x = nonzero_net(example.build), torch.rand(*example.shape)
    with torch.inference_mode():
        expected = example.call(net, x)
        exact = first_tensor(lowered(net, architecture, torch.float32)(x))
        rounded = first_tensor(lowered(net, architecture, torch.bfloat16)(x))
        repeated = example.call(net, x)
    tolerance = 1e-4 * float(expected.abs().max())
    torch.testing.assert_close(exact, expected, rtol=0.0, atol=tolerance)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    if architecture != "RestoreFormer":  # it may select another code; tested below
        assert psnr_db(rounded, expected) >= MIN_PSNR_DB
    assert torch.equal(repeated, expected)


@pytest.mark.parametrize("architecture", ["GFPGAN", "RestoreFormer"])
def test_copy_of_optimized_requests_equals_the_library(architecture: str) -> None:
    """tests/conformance compares the large networks with the official goldens, with --slow."""
    example = EXAMPLES[architecture]
    net, x = nonzero_net(example.build), torch.rand(*example.shape)
    copied = rewritten_copy(net, adapter_for(architecture), torch.device("cpu"))
    kinds = [{type(module) for module in each.modules()} for each in (net, copied)]
    assert kinds[0] != kinds[1]
    with torch.inference_mode():
        output, expected = (example.call(each, x) for each in (copied, net))
    tolerance = 1e-4 * float(expected.abs().max())
    torch.testing.assert_close(output, expected, rtol=0.0, atol=tolerance)


@pytest.mark.slow  # tracing takes 5 to 15 s for each network
@pytest.mark.parametrize("architecture", ["GFPGAN", "RestoreFormer", "DDColor"])
def test_copy_is_traced_as_one_program(architecture: str) -> None:
    example = EXAMPLES[architecture]
    copied = lowered(nonzero_net(example.build), architecture, torch.float32)
    x = torch.rand(*example.shape)
    torch.compiler.reset()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.compile(copied, backend="eager", fullgraph=True, dynamic=False)
        assert psnr_db(first_tensor(program(x)), first_tensor(copied(x))) >= MIN_PSNR_DB


def test_lama_equals_the_library() -> None:
    net = nonzero_net(lambda: LaMa(in_nc=4, out_nc=3))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):  # trained norms change their input
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
            module.bias.normal_(std=0.1)
    photo, holes = torch.rand(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    with torch.inference_mode():
        expected = net(photo, holes)
        exact, rounded = (
            lowered(net, "LaMa", dtype)(photo, holes) for dtype in (torch.float32, torch.bfloat16)
        )
    assert float(expected.std()) > 1e-4
    tolerance = 1e-3 * float(expected.max() - expected.min())
    torch.testing.assert_close(exact, expected, rtol=0.0, atol=tolerance)
    assert psnr_db(rounded, expected) >= MIN_PSNR_DB


def test_restoreformer_selects_the_codes_of_the_library() -> None:
    net: Any = nonzero_net(small_restoreformer)
    faces = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.inference_mode():
        _, _, info, _ = net.encode(faces)
        copied = lowered(net, "RestoreFormer", torch.bfloat16, torch.float32)
        rounded, indices = copied(faces)
        expected = net(faces)[0]
        assert torch.equal(indices.flatten(), info[2].flatten())
        assert psnr_db(rounded, expected) >= MIN_PSNR_DB
        with_other_codes = copied(faces, torch.zeros_like(indices))[0]
    assert psnr_db(with_other_codes, expected) < MIN_PSNR_DB


@pytest.fixture(scope="module")
def codeformer() -> nn.Module:
    """The library's network with few channels and three of its six sizes: 64 px become 16 px."""
    library = pytest.importorskip(
        "spandrel_extra_arches.architectures.CodeFormer.__arch.codeformer"
    )

    def build() -> nn.Module:
        net = library.CodeFormer(n_layers=1)
        net.encoder = library.Encoder(3, 32, 256, [1] * 3, 1, 64, [16])
        net.generator = library.Generator(32, [1] * 3, 1, 64, [16], 256)
        net.connect_list = ["32"]
        net.fuse_encoder_block, net.fuse_generator_block = {"32": 3}, {"32": 7}
        net.fuse_convs_dict = nn.ModuleDict({"32": library.Fuse_sft_block(32, 32)})
        return net

    return nonzero_net(build)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_codeformer_equals_the_library(codeformer: nn.Module) -> None:
    faces = torch.rand(1, 3, 64, 64) * 2 - 1
    exact_net = lowered(codeformer, "CodeFormer", torch.float32)
    rounded_net = lowered(codeformer, "CodeFormer", torch.bfloat16)
    with torch.inference_mode():
        expected, expected_logits = codeformer(faces, weight=0.7)
        codes = expected_logits.argmax(dim=2)
        exact, logits = exact_net(faces, torch.tensor(0.7))
        rounded, rounded_logits = rounded_net(faces, 0.7, codes)
    assert torch.equal(logits.argmax(dim=2), codes)
    tolerance = 1e-3 * float(expected.abs().max())
    torch.testing.assert_close(exact, expected, rtol=0.0, atol=tolerance)
    assert psnr_db(rounded, expected) >= MIN_PSNR_DB
    assert rounded_logits.dtype == torch.float32


@pytest.mark.parametrize("fidelity", [0.0, 0.3, 1.0])
def test_fidelity_may_be_a_tensor(codeformer: Any, fidelity: float) -> None:
    encoded, features = torch.randn(1, 32, 8, 8), torch.randn(1, 32, 8, 8)
    block = codeformer.fuse_convs_dict["32"]
    # The library skips the block for a fidelity of 0.
    expected = block(encoded, features, fidelity) if fidelity else features
    output = Fusion(copy.deepcopy(block))(encoded, features, torch.tensor(fidelity))
    torch.testing.assert_close(output, expected)


def test_code_lookup_has_the_bits_of_the_one_hot_product(codeformer: Any) -> None:
    indices = torch.randint(0, 1024, (1, 256))
    expected = codeformer.quantize.get_codebook_feat(indices, shape=[1, 16, 16, 256])
    embedded = F.embedding(indices, codeformer.quantize.embedding.weight)
    assert torch.equal(embedded.view(1, 16, 16, 256).permute(0, 3, 1, 2), expected)


def test_match_statistics_equals_the_library() -> None:
    library = pytest.importorskip(
        "spandrel_extra_arches.architectures.CodeFormer.__arch.codeformer"
    )
    content, style = torch.randn(2, 8, 16, 16), torch.randn(2, 8, 16, 16) * 3 + 1
    expected = library.adaptive_instance_normalization(content, style)
    torch.testing.assert_close(match_statistics(content, style), expected)


@pytest.mark.parametrize("demodulate", [True, False])
def test_modulated_convolution_does_not_overflow_in_float16(demodulate: bool) -> None:
    torch.manual_seed(0)
    library = ModulatedConv2d(8, 6, 3, 16, demodulate=demodulate)
    library.requires_grad_(requires_grad=False).weight.mul_(30.0)
    features, style = torch.randn(2, 8, 9, 9) * 50, torch.randn(2, 16) * 400
    expected = library(features, style)
    plain = convert_floats(feature_modulated(copy.deepcopy(library)), torch.float16)
    assert not torch.isfinite(plain(features.half(), style.half())).all()
    normalized = NormalizedModulatedConv2d(feature_modulated(copy.deepcopy(library)))
    output = convert_floats(normalized, torch.float16)(features.half(), style.half()).float()
    tolerance = 5e-3 * float(expected.abs().max())
    torch.testing.assert_close(output, expected, rtol=0.0, atol=tolerance)


@pytest.mark.parametrize("swish", [True, False])
def test_group_norm_by_channels_equals_group_norm(swish: bool) -> None:
    norm = nn.GroupNorm(4, 16, eps=1e-6)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    x = torch.randn(2, 16, 7, 5) * 3 + 2
    with torch.no_grad():
        expected = F.silu(norm(x)) if swish else norm(x)
        output = GroupNormSwish(norm, swish=swish).by_channels(x)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)


def test_float32_module_keeps_its_weights() -> None:
    protected, converted = nn.Linear(3, 3), nn.Linear(3, 3)
    weight = protected.weight.detach().clone()
    convert_floats(nn.Sequential(Float32Module(protected), converted), torch.bfloat16)
    assert torch.equal(protected.weight, weight)
    assert converted.weight.dtype == torch.bfloat16
