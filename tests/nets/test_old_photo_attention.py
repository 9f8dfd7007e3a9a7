"""Attention blocks of the old-photo mappings: definition, chunks, memory, holes, patches."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from restore.nets.old_photo.attention import MaskedNonLocal, PatchAttention

CHANNELS = 6


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def new_non_local(max_chunk_bytes: int = 1 << 28) -> MaskedNonLocal:
    torch.manual_seed(0)
    net = MaskedNonLocal(CHANNELS, max_chunk_bytes).eval()
    return net.requires_grad_(requires_grad=False)


def attend_by_definition(
    net: MaskedNonLocal, x: torch.Tensor, visible: torch.Tensor
) -> torch.Tensor:
    """Softmax over all keys, masked, normalised to a sum of 1, as in the paper and in float64."""
    net, x = net.double(), x.double()
    queries, keys, values = (convolve(x).flatten(2) for convolve in (net.theta, net.phi, net.g))
    weights = F.softmax(queries.mT @ keys, dim=-1) * visible.flatten(2)
    weights = F.normalize(weights, p=1, dim=-1, eps=1e-12)
    return (values @ weights.mT).view_as(x)


class TestMaskedNonLocal:
    @pytest.mark.parametrize("positions_per_chunk", [1, 7, 16, 53, 119, 120, 1000])
    @pytest.mark.parametrize("photos", [1, 2])
    def test_chunks_do_not_change_the_output(self, positions_per_chunk: int, photos: int) -> None:
        x, visible = random(photos, CHANNELS, 10, 12), random(photos, 1, 10, 12, seed=1) > -0.8
        attended = new_non_local(positions_per_chunk * photos * 120 * 4).attend(x, visible)
        expected = attend_by_definition(new_non_local(), x, visible)
        torch.testing.assert_close(attended.double(), expected, rtol=1e-5, atol=1e-6)

    def test_queries_with_nearly_no_visible_attention_stay_small(self) -> None:
        # All attention goes to the hole. A softmax over visible keys only would differ.
        x, visible = 6 * random(1, CHANNELS, 5, 5), torch.ones(1, 1, 5, 5, dtype=torch.bool)
        visible[..., 2, 2] = False
        x[..., 2, 2] *= 12
        attended = new_non_local().attend(x, visible)
        expected = attend_by_definition(new_non_local(), x, visible)
        assert expected.abs().amin() < 1e-3 * expected.abs().amax()
        torch.testing.assert_close(attended.double(), expected, rtol=1e-3, atol=1e-6)

    def test_only_holes_are_changed(self) -> None:
        x, mask = random(1, CHANNELS, 8, 8), torch.zeros(1, 1, 32, 32)
        mask[..., 9:11, 13:15] = 1
        with torch.inference_mode():
            filled = new_non_local()(x, mask)
        changed = (filled != x).any(dim=1)[0]
        assert changed.nonzero().tolist() == [[2, 3]]

    @pytest.mark.parametrize(
        ("row", "column", "is_hole"),
        [(9, 13, True), (10, 14, True), (8, 12, True), (11, 15, False), (8, 13, False)],
    )
    def test_mask_pixels_in_the_middle_or_first_corner_make_a_hole(
        self, row: int, column: int, is_hole: bool
    ) -> None:
        x, mask = random(1, CHANNELS, 8, 8), torch.zeros(1, 1, 32, 32)
        mask[..., row, column] = 1
        with torch.inference_mode():
            assert torch.equal(new_non_local()(x, mask), x) != is_hole

    def test_without_holes_the_input_is_returned(self) -> None:
        x = random(1, CHANNELS, 8, 8)
        assert new_non_local()(x, torch.zeros(1, 1, 32, 32)) is x

    def test_output_is_finite_when_nothing_is_visible(self) -> None:
        with torch.inference_mode():
            output = new_non_local()(random(1, CHANNELS, 8, 8), torch.ones(1, 1, 32, 32))
        assert output.isfinite().all()

    def test_output_is_deterministic(self) -> None:
        x, mask = random(1, CHANNELS, 8, 8), torch.eye(32)[None, None]
        net = new_non_local(10_000)
        with torch.inference_mode():
            assert torch.equal(net(x, mask), net(x, mask))

    @pytest.mark.parametrize("shape", [(1, 3, 32, 32), (2, 1, 32, 32), (1, 32, 32)])
    def test_mask_of_another_shape_is_rejected(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(ValueError, match="one plane for each photo"):
            new_non_local()(random(1, CHANNELS, 8, 8), torch.zeros(shape))


class LargestTensor(TorchFunctionMode):
    """Record the bytes of the largest tensor that torch returns."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.bytes = max(self.bytes, result.numel() * result.element_size())
        return result


def largest_tensor_bytes(net: torch.nn.Module, side: int, photos: int) -> int:
    x, mask = random(photos, CHANNELS, side, side), torch.zeros(photos, 1, 4 * side, 4 * side)
    mask[:, :, torch.arange(4 * side) % 32 < 8] = 1  # two rows of features in eight
    with torch.inference_mode(), LargestTensor() as largest:
        net(x, mask)
    return largest.bytes


@pytest.mark.parametrize("side", [40, 80])
@pytest.mark.parametrize("photos", [1, 2])
@pytest.mark.parametrize("kind", ["non-local", "patches"])
def test_largest_tensor_has_the_size_of_a_chunk(kind: str, photos: int, side: int) -> None:
    # For 80 x 80 features, all scores need 156 MiB per photo, all patch similarities 2.4 MiB.
    max_chunk_bytes = 1 << 20
    torch.manual_seed(0)
    net: torch.nn.Module = (
        new_non_local(max_chunk_bytes)
        if kind == "non-local"
        else PatchAttention(CHANNELS, 2, max_chunk_bytes)
    )
    padded_input_bytes = photos * (2 * CHANNELS + 1) * (side + 2) ** 2 * 4
    assert largest_tensor_bytes(net, side, photos) <= max(max_chunk_bytes, padded_input_bytes)


def fill_by_definition(features: torch.Tensor, masked: torch.Tensor, side: int) -> torch.Tensor:
    """Replace masked patches one after the other; `masked` is in row-major order."""
    rows, columns = (length // side for length in features.shape[-2:])
    corners = [
        (row * side, column * side)
        for row, column in itertools.product(range(rows), range(columns))
    ]
    patches = [features[:, y : y + side, x : x + side] for y, x in corners]
    visible = [index for index in range(len(patches)) if not masked[index]]
    filled = torch.zeros_like(features)
    for index, (y, x) in enumerate(corners):
        similarities = [
            float(F.cosine_similarity(patches[index].flatten(), patch.flatten(), dim=0))
            for patch in patches
        ]
        best = max(visible, key=similarities.__getitem__) if masked[index] else index
        filled[:, y : y + side, x : x + side] = patches[best]
    return filled


class TestPatchAttention:
    @pytest.mark.parametrize("max_chunk_bytes", [1, 3000, 1 << 28])
    @pytest.mark.parametrize(
        ("side", "size"), [(2, (8, 12)), (4, (16, 12)), (4, (17, 15)), (8, (36, 44))]
    )
    def test_masked_patches_are_replaced_by_the_most_similar(
        self, side: int, size: tuple[int, int], max_chunk_bytes: int
    ) -> None:
        # The increasing norm makes the largest product differ from the largest cosine.
        features = random(CHANNELS, *size) * torch.linspace(0.1, 3, size[1])
        rows, columns = size[0] // side, size[1] // side
        masked = random(rows * columns, seed=2) > 0.3
        assert 0 < masked.sum() < masked.numel()
        holes = torch.zeros(1, *size)
        patches = masked.float().view(rows, columns)
        covered = patches.repeat_interleave(side, 0).repeat_interleave(side, 1)
        holes[0, : covered.shape[0], : covered.shape[1]] = covered
        filled = PatchAttention(CHANNELS, side, max_chunk_bytes).fill_patches(features, holes)
        assert torch.equal(filled, fill_by_definition(features, masked, side))

    @pytest.mark.parametrize(("masked_positions", "is_replaced"), [(9, False), (10, True)])
    def test_patch_is_replaced_above_a_masked_share_of_0_6(
        self, masked_positions: int, is_replaced: bool
    ) -> None:
        features, holes = random(CHANNELS, 8, 8), torch.zeros(1, 8, 8)
        holes[0, :4, :4] = (torch.arange(16) < masked_positions).view(4, 4)
        filled = PatchAttention(CHANNELS, 4).fill_patches(features, holes)
        assert torch.equal(filled, features) != is_replaced

    def test_without_masked_patches_the_input_is_returned(self) -> None:
        features = random(CHANNELS, 9, 11)
        filled = PatchAttention(CHANNELS, 8).fill_patches(features, torch.zeros(1, 9, 11))
        assert torch.equal(filled, features)

    def test_all_patches_masked_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="every patch of 8 x 8 features is masked"):
            PatchAttention(CHANNELS, 8)(random(1, CHANNELS, 16, 16), torch.ones(1, 1, 64, 64))

    def test_photos_of_a_batch_are_independent(self) -> None:
        torch.manual_seed(0)
        net, x = PatchAttention(CHANNELS, 2), random(2, CHANNELS, 8, 8)
        mask = torch.zeros(2, 1, 32, 32)
        mask[0, :, 8:16, 8:16] = 1
        mask[1, :, 16:24, :16] = 1
        with torch.inference_mode():
            separate = torch.cat([net(x[i : i + 1], mask[i : i + 1]) for i in range(2)])
            torch.testing.assert_close(net(x, mask), separate)
