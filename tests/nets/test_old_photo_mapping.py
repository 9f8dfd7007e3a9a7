"""Attention of the old-photo mappings by its definition: in chunks, its memory, holes, patches."""

import itertools

import pytest
import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from restore.nets.old_photo.mapping import MaskedNonLocal, PatchAttention

WIDTH = 6


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def non_local(chunk_bytes: int = 1 << 28, width: int = WIDTH) -> MaskedNonLocal:
    torch.manual_seed(0)
    return MaskedNonLocal(width, chunk_bytes).eval().requires_grad_(requires_grad=False)


def attended_by_definition(
    net: MaskedNonLocal, x: torch.Tensor, visible: torch.Tensor
) -> torch.Tensor:
    """Softmax over all keys, times the keys' mask, scaled to a sum of one: with all scores at once, and in the order of the paper."""
    net, x = net.double(), x.double()
    queries, keys, values = (convolve(x).flatten(2) for convolve in (net.theta, net.phi, net.g))
    weights = F.softmax(queries.mT @ keys, dim=-1) * visible.flatten(2)
    weights = F.normalize(weights, p=1, dim=-1, eps=1e-12)
    return (values @ weights.mT).view_as(x)


class TestNonLocal:
    @pytest.mark.parametrize("positions_at_once", [1, 7, 16, 53, 119, 120, 1000])
    @pytest.mark.parametrize("photos", [1, 2])
    def test_chunks_give_the_definition(self, positions_at_once, photos):
        x, visible = random(photos, WIDTH, 10, 12), random(photos, 1, 10, 12, seed=1) > -0.8
        attended = non_local(positions_at_once * photos * 120 * 4).attended(x, visible)
        torch.testing.assert_close(
            attended.double(), attended_by_definition(non_local(), x, visible), rtol=1e-5, atol=1e-6
        )

    def test_queries_that_see_next_to_nothing_are_not_scaled_up_to_one(self):
        """All the attention goes to a hole; a softmax over visible keys alone would be far from this."""
        x, visible = 6 * random(1, WIDTH, 5, 5), torch.ones(1, 1, 5, 5, dtype=torch.bool)
        visible[..., 2, 2] = False
        x[..., 2, 2] *= 12
        attended = non_local().attended(x, visible)
        expected = attended_by_definition(non_local(), x, visible)
        assert expected.abs().amin() < 1e-3 * expected.abs().amax()
        torch.testing.assert_close(attended.double(), expected, rtol=1e-3, atol=1e-6)

    def test_what_is_visible_stays_and_holes_are_filled(self):
        x, holes = random(1, WIDTH, 8, 8), torch.zeros(1, 1, 32, 32)
        holes[..., 9:11, 13:15] = 1
        with torch.inference_mode():
            filled = non_local()(x, holes)
        changed = (filled != x).any(dim=1)[0]
        assert changed.nonzero().tolist() == [[2, 3]]

    def test_one_pixel_in_the_middle_of_a_position_makes_it_a_hole_and_so_does_its_corner(self):
        x = random(1, WIDTH, 8, 8)
        for row, column, is_hole in [
            (9, 13, True),
            (10, 14, True),
            (8, 12, True),
            (11, 15, False),
            (8, 13, False),
        ]:
            holes = torch.zeros(1, 1, 32, 32)
            holes[..., row, column] = 1
            with torch.inference_mode():
                assert (not torch.equal(non_local()(x, holes), x)) == is_hole

    def test_without_holes_nothing_is_computed(self):
        x = random(1, WIDTH, 8, 8)
        assert non_local()(x, torch.zeros(1, 1, 32, 32)) is x

    def test_nothing_visible_is_still_a_result(self):
        with torch.inference_mode():
            assert non_local()(random(1, WIDTH, 8, 8), torch.ones(1, 1, 32, 32)).isfinite().all()

    @pytest.mark.parametrize("shape", [(1, 3, 32, 32), (2, 1, 32, 32), (1, 32, 32)])
    def test_a_mask_of_another_form_is_refused(self, shape):
        with pytest.raises(ValueError, match="one plane for each photo"):
            non_local()(random(1, WIDTH, 8, 8), torch.zeros(shape))


class LargestTensor(TorchFunctionMode):
    """The bytes of the largest tensor that torch was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.bytes = max(self.bytes, result.numel() * result.element_size())
        return result


def largest_tensor(net: torch.nn.Module, side: int, photos: int = 1) -> int:
    x, holes = random(photos, WIDTH, side, side), torch.zeros(photos, 1, 4 * side, 4 * side)
    holes[:, :, torch.arange(4 * side) % 32 < 8] = 1  # two rows of features in eight
    with torch.inference_mode(), LargestTensor() as largest:
        net(x, holes)
    return largest.bytes


@pytest.mark.parametrize("side", [40, 80])
@pytest.mark.parametrize("photos", [1, 2])
@pytest.mark.parametrize("kind", ["non-local", "patches"])
def test_memory_grows_with_the_positions_and_not_with_their_square(kind, photos, side):
    """At 80 x 80 features all scores together are 156 MiB a photo, all similarities of patches 2.4 MiB."""
    chunk_bytes = 1 << 20
    torch.manual_seed(0)
    net = non_local(chunk_bytes) if kind == "non-local" else PatchAttention(WIDTH, 2, chunk_bytes)
    joined_and_padded = photos * (2 * WIDTH + 1) * (side + 2) ** 2 * 4
    assert largest_tensor(net, side, photos) <= max(chunk_bytes, joined_and_padded)


def composed_by_definition(features: torch.Tensor, masked: torch.Tensor, side: int) -> torch.Tensor:
    """Patch by patch; `masked` says which, row by row."""
    rows, columns = (length // side for length in features.shape[-2:])
    corners = [
        (row * side, column * side)
        for row, column in itertools.product(range(rows), range(columns))
    ]
    patches = [features[:, y : y + side, x : x + side] for y, x in corners]
    composed = torch.zeros_like(features)
    for number, (y, x) in enumerate(corners):
        best = number
        if masked[number]:
            angles = [
                F.cosine_similarity(patches[number].flatten(), other.flatten(), dim=0)
                for other in patches
            ]
            best = max((k for k in range(len(patches)) if not masked[k]), key=lambda k: angles[k])
        composed[:, y : y + side, x : x + side] = patches[best]
    return composed


class TestPatchAttention:
    @pytest.mark.parametrize("chunk_bytes", [1, 3000, 1 << 28])
    @pytest.mark.parametrize(
        ("side", "size"), [(2, (8, 12)), (4, (16, 12)), (4, (17, 15)), (8, (36, 44))]
    )
    def test_masked_patches_become_their_likest(self, side, size, chunk_bytes):
        features = random(WIDTH, *size) * torch.linspace(
            0.1, 3, size[1]
        )  # so that the largest product is not the smallest angle
        masked = random((size[0] // side) * (size[1] // side), seed=2) > 0.3
        assert 0 < masked.sum() < masked.numel()
        hollow = torch.zeros(1, *size)
        whole = (
            masked.float()
            .view(size[0] // side, size[1] // side)
            .repeat_interleave(side, 0)
            .repeat_interleave(side, 1)
        )
        hollow[0, : whole.shape[0], : whole.shape[1]] = whole
        net = PatchAttention(WIDTH, side, chunk_bytes)
        assert torch.equal(
            net.composed(features, hollow), composed_by_definition(features, masked, side)
        )

    @pytest.mark.parametrize(("holes_in_patch", "replaced"), [(9, False), (10, True)])
    def test_a_patch_is_masked_above_six_tenths(self, holes_in_patch, replaced):
        features, hollow = random(WIDTH, 8, 8), torch.zeros(1, 8, 8)
        hollow[0, :4, :4] = (torch.arange(16) < holes_in_patch).view(4, 4)
        assert (
            torch.equal(PatchAttention(WIDTH, 4).composed(features, hollow), features) != replaced
        )

    def test_without_a_masked_patch_the_rest_of_an_odd_map_stays(self):
        features = random(WIDTH, 9, 11)
        assert torch.equal(
            PatchAttention(WIDTH, 8).composed(features, torch.zeros(1, 9, 11)), features
        )

    def test_with_nothing_to_fill_from_it_says_so(self):
        with pytest.raises(ValueError, match="every patch of 8 x 8 features is masked"):
            PatchAttention(WIDTH, 8)(random(1, WIDTH, 16, 16), torch.ones(1, 1, 64, 64))

    def test_photos_of_a_batch_keep_to_themselves(self):
        torch.manual_seed(0)
        net, x, holes = PatchAttention(WIDTH, 2), random(2, WIDTH, 8, 8), torch.zeros(2, 1, 32, 32)
        holes[0, :, 8:16, 8:16] = 1
        holes[1, :, 16:24, :16] = 1
        with torch.inference_mode():
            alone = torch.cat([net(x[i : i + 1], holes[i : i + 1]) for i in range(2)])
            torch.testing.assert_close(net(x, holes), alone)
