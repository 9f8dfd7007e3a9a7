"""Before/after sheets: which part of each photo is shown, and where."""

import numpy as np
import pytest

from restore.imaging.sheet import Pair, before_after_sheet, crop_pair


def flat_with_detail(height: int, width: int, top: int, left: int, side: int = 40) -> np.ndarray:
    """Return a grey photo with one square of noise."""
    photo = np.full((height, width, 3), 90, np.uint8)
    photo[top : top + side, left : left + side] = np.random.default_rng(1).integers(
        0, 256, (side, side, 3)
    )
    return photo


def test_crop_is_the_most_detailed_part_at_full_resolution() -> None:
    after = flat_with_detail(200, 300, 110, 230)
    _, crop = crop_pair(after, after, 40)
    assert crop.shape == (40, 40, 3)
    # A gradient belongs to the pixel before it, so the window may be off by one pixel.
    matches = [
        np.array_equal(crop, after[110 + dy : 150 + dy, 230 + dx : 270 + dx])
        for dy in (-1, 0)
        for dx in (-1, 0)
    ]
    assert any(matches)


def test_both_crops_show_the_same_part() -> None:
    after = np.zeros((240, 320, 3), np.uint8)
    after[:, 200:] = 200
    after[100:140, 180:220] = np.random.default_rng(2).integers(0, 256, (40, 40, 3))
    before = after[::4, ::4]
    small, large = crop_pair(before, after, 120)
    assert small.shape == large.shape == (120, 120, 3)
    step_before, step_after = (
        np.abs(np.diff(crop[5, :, 0].astype(int))).argmax() for crop in (small, large)
    )
    assert abs(step_before - step_after) <= 4


@pytest.mark.parametrize(
    ("centre", "corner"), [((0.5, 0.5), (60, 80)), ((0.0, 0.0), (0, 0)), ((1.0, 1.0), (120, 160))]
)
def test_centre_selects_the_part_inside_the_photo(
    centre: tuple[float, float], corner: tuple[int, int]
) -> None:
    after = np.random.default_rng(3).integers(0, 256, (200, 240, 3)).astype(np.uint8)
    _, crop = crop_pair(after[::2, ::2], after, 80, centre)
    top, left = corner
    np.testing.assert_array_equal(crop, after[top : top + 80, left : left + 80])


def test_photo_of_the_same_size_is_not_resampled() -> None:
    before, after = flat_with_detail(90, 120, 20, 60), flat_with_detail(90, 120, 20, 60)
    before[::2] //= 2
    left, right = crop_pair(before, after, 64)
    halved = right.copy()
    rows = next(start for start in (0, 1) if np.array_equal(left[start], right[start] // 2))
    halved[rows::2] //= 2
    np.testing.assert_array_equal(left, halved)


@pytest.mark.parametrize("kind", ["grey", "uint16", "grey uint16"])
def test_grey_and_16_bit_give_the_same_as_8_bit_rgb(kind: str) -> None:
    grey = flat_with_detail(100, 100, 10, 10)[..., 0]
    colour = np.repeat(grey[..., None], 3, axis=2)
    photo = grey if "grey" in kind else colour
    if "uint16" in kind:
        photo = photo.astype(np.uint16) * 257
    expected = crop_pair(colour, colour, 64)
    np.testing.assert_array_equal(crop_pair(photo, photo, 64), expected)


def test_sheet_contains_every_pair_in_its_cell() -> None:
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200)]
    rows = [
        Pair(
            f"photo {i}",
            np.full((50, 70, 3), c, np.uint8),
            np.full((100, 140, 3), c, np.uint8) // 2,
        )
        for i, c in enumerate(colours)
    ]
    sheet = before_after_sheet(rows, cell_px=100, columns=2)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (16 + 24 + 2 * (24 + 100 + 16), 16 + 2 * (204 + 16), 3)
    centres = {(i // 2, i % 2): c for i, c in enumerate(colours)}
    for (line, column), colour in centres.items():
        y = 16 + 24 + line * 140 + 24 + 50
        x = 16 + column * 220 + 50
        assert tuple(sheet[y, x]) == colour
        assert tuple(sheet[y, x + 104]) == tuple(c // 2 for c in colour)


def test_labels_are_shortened_to_their_width() -> None:
    photo = np.zeros((40, 40, 3), np.uint8)
    plain = before_after_sheet([Pair("", photo, photo)], cell_px=40, columns=1)
    labelled = before_after_sheet(
        [Pair("a photo with a name far longer than its cells " * 5, photo, photo)],
        cell_px=40,
        columns=1,
    )
    changed = np.argwhere((plain != labelled).any(axis=-1))
    assert len(changed) > 20
    assert changed[:, 1].max() <= 16 + 84
    assert changed[:, 0].max() < 16 + 24 + 24


def test_photo_smaller_than_its_cell_is_not_enlarged() -> None:
    sheet = before_after_sheet(
        [Pair("small", np.full((10, 10), 255, np.uint8), np.full((20, 30), 255, np.uint8))],
        cell_px=60,
        columns=1,
    )
    assert (sheet[64:124, 80:140] == 255).all(axis=-1).sum() == 20 * 30


@pytest.mark.parametrize(
    "photo",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_array_that_is_not_a_photo_is_rejected(photo: np.ndarray) -> None:
    with pytest.raises(ValueError, match="not a photo"):
        before_after_sheet([Pair("x", photo, photo)])


def test_empty_sheet_is_rejected() -> None:
    with pytest.raises(ValueError, match="at least one"):
        before_after_sheet([])
