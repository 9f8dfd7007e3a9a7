"""inpaint: the hole is filled, nothing else is touched, and large photos are seen in crops; with networks made up for it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo
from restore.models.adapters import adapter_of_kind
from restore.models.adapters.base import InpaintAdapter
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import Model, load_net
from restore.options import InpaintOptions
from restore.pipelines import inpaint as module
from restore.pipelines import inpaint_windows
from restore.pipelines.context import StepContext
from restore.pipelines.inpaint import MAX_WINDOW_PX, check_inpaint, run_inpaint
from restore.pipelines.official import OfficialRules
from restore.report import Report
from restore.runtime.device import runtime_for

ROW = Catalog.load().find("inpaint", "big")
LITE_ROW = ROW.model_copy(update={"architecture": "LiteInpaint", "size_multiple": 16})


class Fill(nn.Module):
    """Answers with one colour, in a corner a trace lighter (one value everywhere is no answer), and keeps what it was shown."""

    def __init__(self, *colour: float) -> None:
        super().__init__()
        self.colour = torch.tensor(colour, dtype=torch.float32)[None, :, None, None]
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        self.seen.append((image, mask))
        answer = self.colour.expand(image.shape).clone()
        answer[..., 0, 0] += 1e-4
        return answer


class LiteFill(Fill):
    def forward(self, masked: Tensor) -> Tensor:
        return super().forward(masked[:, :3], masked[:, 3:])


class Mean(Fill):
    """Fills with the mean of what it may see."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        known = 1 - mask
        super().forward(image, mask)
        return ((image * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)).expand(
            image.shape
        )


def context_of(
    net: nn.Module, mask: np.ndarray | None, row: Checkpoint = ROW, **rest
) -> StepContext:
    runtime = runtime_for("baseline", torch.device("cpu"))
    return StepContext(
        {"inpaint": Model(row, "big", net)}, runtime, Report("a.png", "inpaint"), mask=mask, **rest
    )


def one_hole(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A mask with holes at (top, left, height, width)."""
    mask = np.zeros((height, width), np.bool_)
    for top, left, tall, wide in boxes:
        mask[top : top + tall, left : left + wide] = True
    return mask


def noise(*shape: int, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


BOX = one_hole(20, 30, (5, 6, 7, 8))


@pytest.mark.parametrize(
    ("net", "row", "multiple"),
    [(Fill(1.0, 0.0, 0.5), ROW, 8), (LiteFill(1.0, 0.0, 0.5), LITE_ROW, 16)],
)
def test_the_network_sees_photo_and_hole_padded_by_its_own_multiple(net, row, multiple):
    pixels = noise(20, 30, 3)
    result = run_inpaint(Photo("a", pixels), InpaintOptions(), context_of(net, BOX, row)).pixels
    assert (result[BOX] == (255, 0, 128)).all()
    np.testing.assert_array_equal(result[~BOX], pixels[~BOX])
    [(image, mask)] = net.seen
    height, width = -(-20 // multiple) * multiple, -(-30 // multiple) * multiple
    assert image.shape == (1, 3, height, width)
    assert mask.shape == (1, 1, height, width)
    assert image.dtype == mask.dtype == torch.float32
    mirrored = np.pad(
        pixels / 255, ((0, height - 20), (0, width - 30), (0, 0)), "symmetric"
    ).transpose(2, 0, 1)
    hidden = np.pad(BOX, ((0, height - 20), (0, width - 30)), "symmetric")
    shown = (
        mirrored * ~hidden if row is LITE_ROW else mirrored
    )  # LaMa's program hides the hole itself
    np.testing.assert_allclose(image[0].numpy(), shown, atol=1e-6)
    np.testing.assert_array_equal(mask[0, 0].numpy(), hidden)


def test_a_side_shorter_than_its_padding_is_mirrored_again_and_again():
    net, mask = Fill(1.0, 1.0, 1.0), np.zeros((8, 3), np.bool_)
    mask[2, 1] = True
    photo = Photo("a", noise(8, 3, 3))
    run_inpaint(photo, InpaintOptions(), context_of(net, mask))
    assert net.seen[0][0].shape == (1, 3, 16, 16)
    assert run_inpaint(
        photo, InpaintOptions(), context_of(net, mask, rules=OfficialRules())
    ).pixels.shape == (8, 3, 3)


@settings(max_examples=60)
@given(st.data())
def test_pixels_outside_the_mask_never_change(data):
    height, width = data.draw(st.integers(1, 24)), data.draw(st.integers(2, 24))
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    channels = data.draw(st.sampled_from([(), (3,)]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    pixels = rng.integers(0, np.iinfo(dtype).max, (height, width, *channels), dtype, endpoint=True)
    mask = rng.random((height, width)) < data.draw(st.sampled_from([0.02, 0.5, 0.98]))
    mask[0, 0] = False
    alpha = rng.integers(0, np.iinfo(dtype).max, (height, width), dtype, endpoint=True)
    options = InpaintOptions(strength=data.draw(st.sampled_from([0.0, 0.3, 1.0])))
    before = pixels.copy()
    result = run_inpaint(
        Photo("a", pixels, alpha, icc=b"profile"), options, context_of(Fill(0.2, 0.9, 0.4), mask)
    )
    np.testing.assert_array_equal(pixels, before)
    np.testing.assert_array_equal(result.pixels[~mask], pixels[~mask])
    np.testing.assert_array_equal(result.alpha, alpha)
    assert result.pixels.dtype == dtype
    assert result.icc == b"profile"


def test_sixteen_bits_are_filled_in_sixteen_bits():
    result = run_inpaint(
        Photo("a", noise(20, 30, 3, dtype=np.uint16)),
        InpaintOptions(),
        context_of(Fill(0.3001, 0.60001, 2.0), BOX),
    ).pixels
    assert (result[BOX] == (round(0.3001 * 65535), round(0.60001 * 65535), 65535)).all()


def test_grey_is_shown_as_colour_and_filled_with_luminance():
    pixels, net = noise(20, 30), Fill(1.0, 0.0, 0.5)
    result = run_inpaint(Photo("a", pixels), InpaintOptions(), context_of(net, BOX)).pixels
    assert result.shape == pixels.shape
    assert (result[BOX] == round((0.299 + 0.114 * 0.5) * 255)).all()
    image, _ = net.seen[0]
    assert torch.equal(image[:, 0], image[:, 1])
    assert torch.equal(image[:, 0], image[:, 2])


def test_strength_blends_in_the_hole():
    pixels = noise(20, 30, 3)
    none, third, full = (
        run_inpaint(
            Photo("a", pixels), InpaintOptions(strength=s), context_of(Fill(0.5, 0.5, 0.5), BOX)
        ).pixels
        for s in (0, 0.3, 1)
    )
    np.testing.assert_array_equal(none, pixels)
    assert (full[BOX] == 128).all()
    np.testing.assert_array_equal(third[BOX], np.rint(0.3 * 127.5 + 0.7 * pixels[BOX]))


def test_levels_are_rounded_and_only_the_official_code_cuts_them_off():
    net, photo = Fill(0.999, 0.5, -3.0), Photo("a", noise(20, 30, 3))
    assert (
        run_inpaint(photo, InpaintOptions(), context_of(net, BOX)).pixels[BOX] == (255, 128, 0)
    ).all()
    assert (
        run_inpaint(photo, InpaintOptions(), context_of(net, BOX, rules=OfficialRules())).pixels[
            BOX
        ]
        == (254, 127, 0)
    ).all()


def test_an_empty_mask_gives_the_photo_back_with_a_warning():
    net, photo = Fill(1.0, 1.0, 1.0), Photo("a", noise(20, 30, 3))
    context = context_of(net, np.zeros((20, 30), np.bool_))
    assert run_inpaint(photo, InpaintOptions(), context) is photo
    assert net.seen == []
    assert any("mask is empty" in warning for warning in context.report.warnings)
    check_inpaint(photo, InpaintOptions(), "png", context)


@pytest.mark.parametrize(
    ("mask", "named"),
    [
        (None, "no mask.*mask or masks.*points"),
        (np.ones((20, 30), np.bool_), "covers all"),
        (np.zeros((30, 20), np.bool_), "20x30.*30x20"),
    ],
)
def test_masks_that_will_not_do_are_refused(mask, named):
    net, photo = Fill(1.0, 1.0, 1.0), Photo("a.png", noise(20, 30, 3))
    with pytest.raises(RestoreError, match=named) as caught:
        run_inpaint(photo, InpaintOptions(), context_of(net, mask))
    assert caught.value.code is Code.MASK
    assert net.seen == []
    if mask is None or mask.all():
        with pytest.raises(RestoreError, match=rf"'a\.png'.*{named}"):
            check_inpaint(photo, InpaintOptions(), "png", context_of(net, mask))


def test_a_result_that_the_format_cannot_hold_is_refused():
    mask = np.zeros((8, 17000), np.bool_)
    with pytest.raises(RestoreError) as caught:
        check_inpaint(
            Photo("a.png", np.zeros((8, 17000), np.uint8)),
            InpaintOptions(),
            "webp",
            context_of(Fill(0, 0, 0), mask),
        )
    assert caught.value.code is Code.OUTPUT_TOO_LARGE


@pytest.mark.parametrize("colour", [(float("nan"), 0.0, 0.0), (0.0, float("inf"), 0.0)])
def test_numbers_that_are_none_are_refused(colour):
    with pytest.raises(RestoreError, match="NaN or infinity") as caught:
        run_inpaint(Photo("a", noise(20, 30, 3)), InpaintOptions(), context_of(Fill(*colour), BOX))
    assert caught.value.code is Code.BAD_NUMBERS


def test_two_far_holes_of_a_large_photo_are_seen_in_two_crops():
    holes = [(100, 150, 60, 40), (1500, 2500, 300, 250)]
    mask, net, pixels = (
        one_hole(2000, 3000, *holes),
        Mean(0, 0, 0),
        np.zeros((2000, 3000, 3), np.uint8),
    )
    pixels[:, :1500], pixels[:, 1500:] = 40, 200
    pixels[mask] = 255
    result = run_inpaint(Photo("a", pixels), InpaintOptions(), context_of(net, mask)).pixels
    assert sorted(tuple(image.shape[2:]) for image, _ in net.seen) == [(512, 512), (800, 752)]
    assert (result[100:160, 150:190] == 40).all()
    assert (result[1500:1800, 2500:2750] == 200).all()
    np.testing.assert_array_equal(result[~mask], pixels[~mask])


def test_a_small_photo_is_seen_whole():
    net, mask = Fill(0, 0, 0), one_hole(1280, 16, (3, 3, 2, 2), (1270, 3, 2, 2))
    run_inpaint(Photo("a", noise(1280, 16, 3)), InpaintOptions(), context_of(net, mask))
    assert [image.shape[2:] for image, _ in net.seen] == [(1280, 16)]


def test_neighbours_share_a_crop_and_every_hole_in_sight_is_hidden():
    """The second pair is too far apart for one crop, but each sees the other's hole: nobody is to copy from it."""
    near = one_hole(1400, 3000, (200, 200, 20, 20), (260, 300, 15, 30))
    far = one_hole(1400, 3000, (900, 1500, 20, 20), (900, 1750, 20, 30))
    for mask, count in ((near, 1), (far, 2), (near | far, 3)):
        net, pixels = Mean(0, 0, 0), np.full((1400, 3000), 60, np.uint8)
        pixels[mask] = 250
        result = run_inpaint(Photo("a", pixels), InpaintOptions(), context_of(net, mask)).pixels
        assert (result == 60).all()
        assert len(net.seen) == count
        assert all((hidden.bool() == (image > 0.9)[:, :1]).all() for image, hidden in net.seen)


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 700), st.integers(0, 1390), st.integers(1, 200), st.integers(1, 200)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_hole_is_filled_once_with_context_around_it(boxes):
    mask = one_hole(900, 1400, *boxes)
    filled = np.zeros(mask.shape, int)
    for hole in inpaint_windows.plan_windows(mask, context_of(Fill(0, 0, 0), mask)):
        rows, columns = hole.window
        assert rows.stop - rows.start >= min(900, inpaint_windows.MIN_WINDOW_PX)
        assert columns.stop - columns.start >= inpaint_windows.MIN_WINDOW_PX
        assert hole.hole.any()
        filled[hole.window] += hole.hole
        for axis, (window, length) in enumerate(((rows, 900), (columns, 1400))):
            own = np.flatnonzero(hole.hole.any(axis=1 - axis)) + window.start
            assert own[0] - window.start >= min(64, own[0])
            assert window.stop - 1 - own[-1] >= min(64, length - 1 - own[-1])
    np.testing.assert_array_equal(filled, mask)


def test_dust_all_over_a_large_photo_takes_few_crops_and_little_time():
    mask = np.random.default_rng(0).random((2000, 3000)) < 0.002
    net = Fill(0, 0, 0)
    run_inpaint(
        Photo("a", np.zeros((2000, 3000), np.uint8)), InpaintOptions(), context_of(net, mask)
    )
    assert len(net.seen) <= 4 * 2000 * 3000 / inpaint_windows.MIN_WINDOW_PX**2


def test_a_crop_that_would_be_too_large_is_seen_reduced_with_a_warning():
    mask, net = one_hole(2500, 3000, (800, 900, 900, 1000)), Mean(0, 0, 0)
    pixels = np.full((2500, 3000, 3), 90, np.uint8)
    pixels[mask] = 255
    context = context_of(net, mask)
    result = run_inpaint(Photo("a", pixels), InpaintOptions(), context).pixels
    assert (
        result == 90
    ).all()  # nothing of the hole's white was mixed into what the network may see
    [(image, hidden)] = net.seen
    assert max(image.shape[2:]) == MAX_WINDOW_PX
    assert float(image[~hidden.bool().expand_as(image)].max()) < 0.36
    assert any(
        "2900x2500 pixels around it: it was filled at 2048x1766" in warning
        for warning in context.report.warnings
    )


def test_a_crop_that_memory_does_not_hold_is_seen_smaller(monkeypatch):
    monkeypatch.setattr(module, "free_memory_bytes", lambda device: 1000 * 400 * 400 / 0.8)
    net, mask = Fill(0.5, 0.5, 0.5), one_hole(600, 800, (100, 100, 50, 50))
    context = context_of(net, mask, ROW.model_copy(update={"working_bytes_per_px": 1000}))
    result = run_inpaint(Photo("a", noise(600, 800, 3)), InpaintOptions(), context).pixels
    assert (result[mask] == 128).all()
    height, width = net.seen[0][0].shape[2:]
    assert height * width <= 400 * 400
    assert any("800x600 pixels" in warning for warning in context.report.warnings)


def test_memory_that_runs_out_is_left_to_the_job(monkeypatch):
    class Hungry(nn.Module):
        def forward(self, image: Tensor, mask: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    context = context_of(Hungry(), BOX)
    with (
        pytest.raises(RestoreError, match=r"'a\.png'.*memory ran out") as caught,
        context.name_photo_in_errors(),
    ):
        run_inpaint(Photo("a.png", noise(20, 30, 3)), InpaintOptions(), context)
    assert caught.value.code is Code.OUT_OF_MEMORY


@pytest.mark.parametrize("content", ["rubbish", "state", "nothing"])
def test_a_file_that_is_no_program_is_refused_by_name(tmp_path, content):
    path = tmp_path / "big-lama.pt"
    if content == "state":
        torch.save({"generator.model.1.ffc.convl2l.weight": torch.zeros(3)}, path)
    else:
        path.write_bytes(b"rubbish" * 100 if content == "rubbish" else b"")
    with pytest.raises(RestoreError, match=r"big-lama\.pt") as caught:
        load_net(path, ROW)
    assert caught.value.code is Code.WEIGHTS_UNSUPPORTED


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_program_is_ready_in_float32_and_gives_the_same_twice(tmp_path):
    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 3, 3, padding=1)

        def forward(self, image: Tensor, mask: Tensor) -> Tensor:
            return torch.sigmoid(self.conv(torch.cat([image * (1 - mask), mask], 1)))

    program = torch.jit.trace(
        Tiny().half(), (torch.rand(1, 3, 8, 8).half(), torch.rand(1, 1, 8, 8).half())
    )
    program.train()
    torch.jit.save(program, tmp_path / "big-lama.pt")
    net = load_net(tmp_path / "big-lama.pt", ROW)
    assert not net.training
    assert {(p.dtype, p.requires_grad) for p in net.parameters()} == {(torch.float32, False)}
    photos = [
        run_inpaint(Photo("a", noise(20, 30, 3)), InpaintOptions(), context_of(net, BOX)).pixels
        for _ in range(3)
    ]
    assert all((photo == photos[0]).all() for photo in photos)


def test_every_network_has_an_inpaint_adapter() -> None:
    for row in Catalog.load().for_task("inpaint"):
        adapter_of_kind(row.architecture, InpaintAdapter)
