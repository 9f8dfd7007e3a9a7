"""The oracle finds damage, and takes a repair for what it is."""

import numpy as np
from oracle import Pixels, find_harm, find_inpaint_harm

GENERATOR = np.random.default_rng(2)
GREY = np.repeat(GENERATOR.uniform(60, 200, (128, 160, 1)), 3, axis=2)
OPAQUE = np.ones((128, 160))
PHOTO = Pixels(GREY, OPAQUE)


def changed(area: tuple[slice, slice], levels: float) -> Pixels:
    result = GREY.copy()
    result[area] = levels
    return Pixels(result, OPAQUE)


def test_equal_photo_is_not_damaged() -> None:
    for tasks in ({"upscale"}, {"restore"}, {"old_photo_restore"}, {"colorize"}):
        assert not list(find_harm(PHOTO, PHOTO, tasks))


def test_new_colours_keep_the_lightness_of_saturated_ones() -> None:
    red = Pixels(np.full_like(GREY, 0.0) + np.array([255, 0, 0]), OPAQUE)
    for level, is_damage in ((127, False), (76, True), (170, True)):
        grey = Pixels(np.full_like(GREY, level), OPAQUE)
        assert bool(list(find_harm(red, grey, {"colorize"}))) is is_damage


def test_black_area_is_damage_where_detail_is_repaired() -> None:
    assert list(find_harm(PHOTO, changed(np.s_[32:64, 32:64], 0), {"restore"}))


def test_black_sheet_is_damage_in_an_old_photo() -> None:
    assert list(find_harm(PHOTO, changed(np.s_[:, :], 0), {"old_photo_restore"}))


def test_filled_crack_is_a_repair_and_a_filled_photo_is_none() -> None:
    cracked = changed(np.s_[:, 40:60], 250)
    wide = changed(np.s_[:64, :], 250)
    for damaged in (cracked, wide):
        assert not list(find_harm(damaged, PHOTO, {"old_photo_restore"}, PHOTO))
    ruined = changed(np.s_[:64, :], 10)
    assert list(find_harm(PHOTO, ruined, {"old_photo_restore"}, PHOTO))


def test_cast_of_a_neutral_photo_is_damage_except_in_colorize() -> None:
    cast = Pixels(GREY + np.array([0, 0, 6]), OPAQUE)
    assert list(find_harm(PHOTO, cast, {"restore"}))
    assert not list(find_harm(PHOTO, cast, {"colorize"}))


def test_white_that_is_no_longer_white_is_damage() -> None:
    white = Pixels(np.full_like(GREY, 255), OPAQUE)
    assert list(find_harm(white, Pixels(np.full_like(GREY, 254.2), OPAQUE), {"upscale"}))


def test_changes_outside_of_a_hole_and_unfilled_holes_are_damage() -> None:
    hole = np.zeros((128, 160), np.bool_)
    hole[10:20, 10:20] = True
    assert not list(find_inpaint_harm(PHOTO, changed(np.s_[10:20, 10:20], 0), hole))
    assert list(find_inpaint_harm(PHOTO, changed(np.s_[10:20, 10:21], 0), hole))
    assert list(find_inpaint_harm(PHOTO, PHOTO, hole))
