"""The program that degrades photos, and the samples made with it."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from PIL import Image

from data.degradation import PRESETS, Degradation, degrade, main
from restore.errors import Code, RestoreError

STEPS = {
    "blur": Degradation(blur=1.5),
    "anisotropic blur": Degradation(blur=3, blur_ratio=0.3),
    "poisson": Degradation(poisson=1),
    "noise": Degradation(noise=12),
    "fade": Degradation(fade=0.6),
    "scratches": Degradation(scratches=3),
    "jpeg": Degradation(jpeg=15),
}


@pytest.fixture
def photo() -> np.ndarray:
    y, x = np.mgrid[0:96, 0:120]
    waves = [128 + 70 * np.sin(x / (2 + c) + y / (4 - c)) for c in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def read(path: Path) -> tuple[str, np.ndarray]:
    """A picture's mode and its pixels as RGB."""
    with Image.open(path) as image:
        return image.mode, np.array(image.convert("RGB"))


@pytest.mark.parametrize("recipe", [*STEPS.values(), *PRESETS.values()], ids=str)
def test_the_same_seed_gives_the_same_pixels_and_leaves_the_global_generators_alone(photo, recipe):
    np.random.seed(5)
    random.seed(5)
    first = degrade(photo, recipe, 1)
    following = (np.random.random(), random.random())
    np.random.seed(7)
    again = degrade(photo, recipe, 1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, photo)
    np.random.seed(5)
    random.seed(5)
    assert (np.random.random(), random.random()) == following


@pytest.mark.parametrize("name", ["anisotropic blur", "poisson", "noise", "fade", "scratches"])
def test_another_seed_gives_another_picture(photo, name):
    assert not np.array_equal(degrade(photo, STEPS[name], 1), degrade(photo, STEPS[name], 2))


def test_an_empty_recipe_changes_nothing(photo):
    np.testing.assert_array_equal(degrade(photo, Degradation(), 1), photo)


def test_noise_has_the_strength_asked_for(photo):
    difference = degrade(photo, Degradation(noise=12), 3).astype(float) - photo
    assert difference.std() == pytest.approx(12, rel=0.05)


def test_blur_loses_detail(photo):
    detail = [
        np.abs(np.diff(picture.astype(int), axis=1)).mean()
        for picture in (photo, degrade(photo, STEPS["blur"], 1))
    ]
    assert detail[1] < 0.8 * detail[0]


def test_fading_loses_contrast_and_yellows(photo):
    faded = degrade(photo, STEPS["fade"], 1).astype(float)
    assert faded.std() < 0.8 * photo.std()
    assert faded[..., 0].mean() > faded[..., 2].mean() + 10


def test_jpeg_takes_the_photo_as_rgb():
    """Of stripes one pixel wide JPEG keeps the luma, of which red has 0.299 and blue 0.114, and averages the chroma."""
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2, 0] = 255
    red = degrade(stripes, Degradation(jpeg=95), 1)[..., 0].astype(float)
    assert (red[:, ::2] - red[:, 1::2]).mean() == pytest.approx(0.299 * 255, abs=8)


def test_scratches_change_few_pixels_much(photo):
    change = np.abs(degrade(photo, Degradation(scratches=2), 4).astype(int) - photo).max(axis=-1)
    assert 0 < (change > 0).mean() < 0.2
    assert change.max() > 60


@pytest.mark.parametrize("resampling", ["area", "bilinear", "bicubic"])
def test_downscaling(photo, resampling):
    small = degrade(photo, Degradation(downscale=3.2, resampling=resampling), 1)
    assert small.shape == (30, 38, 3)
    assert small.mean() == pytest.approx(photo.mean(), rel=0.05)


@pytest.mark.parametrize("name", ["blur", "poisson", "noise", "jpeg", "scratches"])
def test_a_photo_without_colour_stays_without(photo, name):
    grey = np.repeat(photo[..., :1], 3, axis=2)
    degraded = degrade(grey, STEPS[name], 1)
    assert (degraded == degraded[..., :1]).all()


@pytest.mark.parametrize(
    "values",
    [
        {"noise": 101},
        {"noise": float("nan")},
        {"blur": -1},
        {"jpeg": 0},
        {"fade": 1.1},
        {"scratches": -1},
        {"downscale": 0.5},
        {"resampling": "x"},
    ],
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(RestoreError, match=next(iter(values))) as error:
        Degradation(**values)
    assert error.value.code == Code.OPTION_INVALID


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)],
)
def test_what_is_no_8_bit_rgb_is_refused(array):
    with pytest.raises(RestoreError, match="8-bit RGB"):
        degrade(array, Degradation(), 1)


def test_downscaling_to_nothing_is_refused():
    with pytest.raises(RestoreError, match="leave none"):
        degrade(np.zeros((100, 3, 3), np.uint8), Degradation(downscale=16), 1)


def test_the_command_writes_what_the_function_makes_and_says_so(photo_file, tmp_path, capsys):
    first, second = photo_file("a.png"), photo_file("b.png", mode="L")
    assert (
        main(
            [
                str(first),
                str(second),
                "--out",
                str(tmp_path / "o"),
                "--preset",
                "noise",
                "--noise",
                "9",
                "--seed",
                "4",
            ]
        )
        == 0
    )
    recipe = Degradation(poisson=0.5, noise=9)
    for number, path in enumerate((first, second)):
        mode, clean = read(path)
        made_mode, made = read(tmp_path / "o" / path.name)
        assert made_mode == mode
        np.testing.assert_array_equal(made, degrade(clean, recipe, 4 + number))
    lines = capsys.readouterr().out.splitlines()
    assert [
        line.endswith(f"60x48, poisson 0.5, noise 9.0, seed {4 + i}")
        for i, line in enumerate(lines)
    ] == [True, True]


def test_a_noisy_photo_fits_into_a_jpeg(photo_file, tmp_path):
    path = photo_file(height=200, width=240)
    assert (
        main(
            [
                str(path),
                "--out",
                str(tmp_path / "o"),
                "--noise",
                "60",
                "--long-side",
                "120",
                "--format",
                "jpg",
            ]
        )
        == 0
    )
    assert read(tmp_path / "o" / "a.jpg")[1].shape == (100, 120, 3)


def test_what_cannot_be_read_written_or_understood_ends_with_status_2_and_one_line(
    photo_file, tmp_path, capsys
):
    good = photo_file()
    (tmp_path / "text.png").write_text("no picture")
    whole = good.read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "file").write_text("")
    cases = {
        Code.PHOTO_MISSING: [str(tmp_path / "none.png"), "--out", str(tmp_path / "o")],
        Code.PHOTO_FORMAT: [str(tmp_path / "text.png"), "--out", str(tmp_path / "o")],
        Code.PHOTO_DAMAGED: [str(tmp_path / "cut.png"), "--out", str(tmp_path / "o")],
        Code.OPTION_INVALID: [str(good), "--out", str(tmp_path / "o"), "--jpeg", "0"],
        Code.OUTPUT_UNWRITABLE: [str(good), "--out", str(tmp_path / "file" / "o")],
    }
    for code, arguments in cases.items():
        assert main(arguments) == 2
        message = capsys.readouterr().err
        assert message.startswith(f"[{code}]")
        assert message.count("\n") == 1
    assert main([str(tmp_path / "deep.png"), "--out", str(tmp_path / "o")]) == 2
    assert "8 bits" in capsys.readouterr().err


def test_no_photo_is_overwritten(photo_file, tmp_path, capsys):
    path = photo_file()
    before = path.read_bytes()
    assert main([str(path), "--out", str(path.parent), "--noise", "5"]) == 2
    assert path.read_bytes() == before
    (tmp_path / "other").mkdir()
    twin = tmp_path / "other" / "a.png"
    twin.write_bytes(before)
    assert main([str(path), str(twin), "--out", str(tmp_path / "o")]) == 2
    assert not (tmp_path / "o").exists()
    assert "overwrite" in capsys.readouterr().err


def test_the_samples_are_small_and_each_is_accounted_for():
    folder = PROJECT / "data"
    photos = sorted(folder.glob("*.jpg"), key=lambda path: int(path.stem))
    assert [path.stem for path in photos] == [str(number) for number in range(1, 13)]
    assert sum(path.stat().st_size for path in photos) < 700_000
    listed = re.findall(r"^\| (\d+\.jpg) \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == [path.name for path in photos]
    for path in photos:
        with Image.open(path) as image:
            image.load()
            assert 150 <= max(image.size) <= 480
            assert not image.getexif()
