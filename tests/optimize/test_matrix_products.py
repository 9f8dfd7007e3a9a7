"""Tests of the matrix products of Winograd convolutions: compared with NumPy's."""

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from restore.optimize import matrix_products
from restore.optimize.matrix_products import BLAS_WITH_AVX512, ROWS, is_faster, multiply, pack


@pytest.fixture(params=[True, False], ids=["kernel", "blas"])
def packs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Force the kernel or the BLAS library, whatever the CPU."""
    monkeypatch.setattr(matrix_products, "is_faster", lambda: request.param)
    return bool(request.param)


@pytest.fixture(autouse=True)
def fresh_cache() -> Iterator[None]:
    """Decide again in each test, and after it."""
    is_faster.cache_clear()
    yield
    is_faster.cache_clear()


@pytest.mark.parametrize(("tiles", "channels", "outputs"), [(1, 1, 16), (13, 5, 32), (24, 64, 48)])
def test_product_equals_that_of_numpy(packs: bool, tiles: int, channels: int, outputs: int) -> None:
    generator = np.random.default_rng(5)
    inputs = generator.standard_normal((36, 4 * ROWS, channels), np.float32)
    filters = generator.standard_normal((36, channels, outputs), np.float32)
    products = np.full((36, 4 * ROWS, outputs), np.nan, np.float32)
    multiply(inputs, pack(torch.from_numpy(filters)).numpy(), products, tiles, packs)
    np.testing.assert_allclose(products[:, :tiles], (inputs @ filters)[:, :tiles], atol=1e-4)


def test_filters_are_packed_only_in_whole_groups_of_outputs(packs: bool) -> None:
    even, odd = torch.randn(36, 3, 32), torch.randn(36, 3, 33)
    assert torch.equal(pack(even), even) is not packs
    assert torch.equal(pack(odd), odd)
    assert torch.equal(pack(even).view(36, 2, 3, 16).transpose(1, 2).reshape(36, 3, 32), even) is (
        packs
    )


@pytest.mark.parametrize(
    ("features", "architecture", "faster"),
    [
        ({"avx2": True, "fma": True}, "Haswell", True),
        ({"avx2": True, "fma": True}, "Zen", True),
        ({"avx2": True, "fma": True, "avx512f": True}, "SkylakeX", False),
        ({"avx2": True, "fma": False}, "Haswell", False),
        ({}, "generic", False),
    ],
    ids=str,
)
def test_kernel_is_used_with_avx2_unless_the_blas_has_avx512(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], architecture: str, faster: bool
) -> None:
    library = SimpleNamespace(architecture=architecture)
    controller = SimpleNamespace(select=lambda **_: SimpleNamespace(lib_controllers=[library]))
    monkeypatch.setattr(matrix_products, "ThreadpoolController", lambda: controller)
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: features)
    assert is_faster() is faster
    assert all(name == name.lower() for name in BLAS_WITH_AVX512)
